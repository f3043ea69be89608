"""These tests specify how votes become labels: whose word counts, ties, kinds, and fallbacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Votes
from headrace.calls import PlannedCall
from headrace.errors import DataError, DefinitionError
from headrace.labels.columns import Vote
from headrace.labels.schema import LabelSchema
from headrace.testing import check_operator
from operators.aggregate_votes import aggregate_votes

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
TOPIC = LabelSchema(choices=("business", "politics", "sport"))
SPAM = LabelSchema(choices=("ham", "spam"))


def _row(entity: str, rater: str, label: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "entity": entity,
        "rater": rater,
        "source": "person",
        "label": label,
        "skipped": None,
        "confidence": None,
        "slice": "chosen",
        "gold": None,
        "as_of": NOON,
        "voted_at": NOON,
        "seconds": None,
        "suggested": None,
        "suggested_by": None,
        "suggestion_shown": False,
        "schema_version": None,
        "batch": "one",
        **changes,
    }


def _votes(rows: list[dict[str, Any]], schema: LabelSchema) -> Votes[Vote]:
    text = ("label", "skipped", "gold", "suggested", "suggested_by")
    columns = {
        name: [row[name] for row in rows]
        if name != "schema_version"
        else [row[name] or schema.version for row in rows]
        for name in _row("", "", None)
    }
    for name in text:
        columns[name] = pa.array(columns[name], pa.string())
    for name in ("confidence", "seconds"):
        columns[name] = pa.array(columns[name], pa.float64())
    return Votes[Vote].of(pa.table(columns))


def _settled(
    rows: list[dict[str, Any]], schema: LabelSchema = TOPIC, **settings: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    labels, report = aggregate_votes(_votes(rows, schema), schema=schema, **settings)
    frame = labels.frame()
    return {row["entity"]: row for row in frame.to_dict("records")}, report.document


def _crowd(
    rights: list[float], *, items: int, overlap: int, seed: int, gold: int = 0
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Votes of raters of known accuracy on ham and spam, and the truth."""
    random = np.random.default_rng(seed)
    truth = {f"i{at:04}": SPAM.choices[random.integers(2)] for at in range(items)}
    rows = []
    for at, (entity, right) in enumerate(truth.items()):
        wrong = SPAM.choices[1 - SPAM.choices.index(right)]
        for rater in random.permutation(len(rights))[:overlap]:
            label = right if random.random() < rights[rater] else wrong
            known = {"slice": "gold", "gold": right} if at < gold else {}
            rows.append(_row(entity, f"r{rater:02}", label, **known))
    return rows, truth


def test_most_votes_decide_and_their_share_is_how_sure_the_label_is():
    labels, report = _settled(
        [
            _row("x", "ada", "sport"),
            _row("x", "bob", "sport"),
            _row("x", "eve", "politics"),
            _row("y", "ada", "business", voted_at=NOON + timedelta(hours=1)),
        ]
    )

    assert labels["x"] == {
        "entity": "x",
        "as_of": pd.Timestamp(NOON),
        "label_known_at": pd.Timestamp(NOON),
        "label": "sport",
        "probability": pytest.approx(2 / 3),
        "votes": 3,
        "conflict": True,
        "slice": "chosen",
        "source": "person",
        "method": "majority",
        "schema_version": TOPIC.version,
    }
    assert (labels["y"]["probability"], labels["y"]["conflict"]) == (1.0, False)
    assert labels["y"]["label_known_at"] == pd.Timestamp(NOON + timedelta(hours=1))
    assert report["not_dawid_skene"] == ["there are 2 items, fewer than 100"]


def test_skips_and_abstentions_count_for_nothing_and_are_reported():
    labels, report = _settled(
        [
            _row("x", "ada", "sport"),
            _row("x", "bob", None, skipped="unclear"),
            _row("y", "bob", None, skipped="unclear"),
            _row("y", "rule:goal", None, source="rule"),
        ]
    )

    assert list(labels) == ["x"]
    assert labels["x"]["probability"] == 1.0
    assert (report["items"], report["labelled"], report["left_out"]) == (2, 1, 1)
    assert (report["skips"], report["skips_by_reason"]) == (2, {"unclear": 2})
    assert (report["abstentions"], report["abstentions_by_rater"]) == (1, {"rule:goal": 1})


def test_a_gold_item_has_its_known_answer_whatever_was_voted():
    labels, report = _settled(
        [_row("x", r, "sport", slice="gold", gold="politics") for r in ("ada", "bob")]
    )

    assert (labels["x"]["label"], labels["x"]["source"], labels["x"]["method"]) == (
        "politics",
        "gold",
        "gold",
    )
    assert (labels["x"]["probability"], labels["x"]["slice"], labels["x"]["votes"]) == (
        1.0,
        "gold",
        2,
    )
    assert [r["accuracy"] for r in report["agreement"]["raters"]] == [0.0, 0.0]


def test_the_adjudicator_decides():
    labels, report = _settled(
        [
            _row("x", "ada", "sport"),
            _row("x", "bob", "sport"),
            _row("x", "eve", "politics", source="adjudicator"),
            _row("y", "eve", "business", source="adjudicator"),
        ]
    )

    assert (labels["x"]["label"], labels["x"]["source"], labels["x"]["method"]) == (
        "politics",
        "adjudicator",
        "adjudicated",
    )
    assert (labels["x"]["conflict"], labels["x"]["votes"], labels["x"]["probability"]) == (
        True,
        3,
        1.0,
    )
    assert labels["y"]["label"] == "business"
    assert report["adjudicated"] == 2


def test_a_rater_counts_once_an_item_by_the_last_answer():
    later = NOON + timedelta(days=1)
    labels, report = _settled(
        [
            _row("x", "ada", "sport"),
            _row("x", "bob", "politics"),
            _row("x", "ada", "politics", voted_at=later, batch="two", slice="audit"),
            _row("x", "bob", None, voted_at=later, batch="two", slice="audit", skipped="unsure"),
        ]
    )

    assert (labels["x"]["label"], labels["x"]["votes"], labels["x"]["conflict"]) == (
        "politics",
        2,
        False,
    )
    assert labels["x"]["slice"] == "audit"
    assert report["superseded"] == 1


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(_row("x", "bob", "sport", slice="random"), id="by another rater"),
        pytest.param(_row("x", "ada", "politics", slice="random"), id="by who answered again"),
        pytest.param(_row("x", "eve", None, skipped="unclear", slice="random"), id="and skipped"),
    ],
)
def test_an_item_that_was_drawn_at_random_stays_in_the_random_sample(drawn: dict[str, Any]):
    later = NOON + timedelta(hours=1)

    labels, _ = _settled(
        [
            drawn,
            _row("x", "ada", "sport", slice="audit", voted_at=later, batch="two"),
            _row("x", "model:1", "sport", source="model"),
        ]
    )

    assert (labels["x"]["slice"], labels["x"]["label"]) == ("random", "sport")


def test_a_tie_goes_to_whom_gold_shows_to_be_right_more_often():
    gold = [
        _row(f"g{at}", rater, "sport" if rater == "bob" else "politics", slice="gold", gold="sport")
        for at in range(5)
        for rater in ("ada", "bob")
    ]
    labels, _ = _settled([*gold, _row("x", "ada", "politics"), _row("x", "bob", "business")])

    assert labels["x"]["label"] == "business"
    assert labels["x"]["conflict"]
    assert labels["x"]["probability"] > 0.5


def test_numbers_differ_by_more_than_the_tolerance():
    kilos = LabelSchema(kind="number", unit="kg", tolerance=0.5)
    said = {"x": ("1.5", "2.0"), "y": ("3.0", "3.51")}
    rows = [
        _row(e, r, n) for e, of in said.items() for r, n in zip(("ada", "bob"), of, strict=True)
    ]

    labels, report = _settled(rows, kilos)

    assert [labels[entity]["conflict"] for entity in said] == [False, True]
    assert report["conflicts"] == 1


def test_a_tie_between_a_person_and_a_machine_goes_to_the_person():
    rows = [
        row
        for at in range(8)
        for row in (
            _row(f"x{at}", "ada", "sport"),
            _row(f"x{at}", "model:1", "politics", source="model", confidence=0.9),
        )
    ]

    labels, _ = _settled(rows)

    assert {row["label"] for row in labels.values()} == {"sport"}
    assert {row["probability"] for row in labels.values()} == {0.5}


def test_other_ties_favour_no_choice_and_depend_on_the_item_alone():
    rows = [
        _row(f"x{at}", rater, label)
        for at in range(400)
        for rater, label in (("ada", "sport"), ("bob", "politics"))
    ]

    labels, report = _settled(rows, method="majority")
    alone, _ = _settled(rows[14:16], method="majority")

    share = np.mean([row["label"] == "sport" for row in labels.values()])
    # of 400 fair draws, fewer than 150 or more than 250 of a kind come once in two million times
    assert 150 / 400 < share < 250 / 400
    assert report["ties"] == 400
    assert alone["x7"] == labels["x7"]
    assert labels["x7"]["probability"] == 0.5


def test_a_models_only_vote_is_as_sure_as_the_model():
    labels, _ = _settled([_row("x", "model:1", "sport", source="model", confidence=0.7)])

    assert (labels["x"]["probability"], labels["x"]["source"]) == (0.7, "model")


def test_where_raters_differ_their_errors_are_found_and_labels_are_better_than_by_majority():
    rows, truth = _crowd([0.95] * 4 + [0.55] * 8, items=400, overlap=4, seed=71)

    best, report = _settled(rows, SPAM)
    plain, _ = _settled(rows, SPAM, method="majority")

    def right(labels: dict[str, dict[str, Any]]) -> float:
        return float(np.mean([labels[entity]["label"] == truth[entity] for entity in truth]))

    assert report["method"] == "dawid_skene"
    assert report["converged"]
    assert right(best) > right(plain) + 0.03


def test_where_raters_are_alike_majority_decides_and_the_report_says_why():
    rows, _ = _crowd([0.8] * 6, items=300, overlap=3, seed=72)

    _, report = _settled(rows, SPAM)

    assert report["method"] == "majority"
    assert report["not_dawid_skene"][0].endswith("by chance: too little to be told apart")


def test_one_vote_an_item_cannot_carry_the_method():
    rows, _ = _crowd([0.9] * 5, items=150, overlap=1, seed=73)

    _, report = _settled(rows, SPAM)
    with pytest.raises(DataError) as refused:
        _settled(rows, SPAM, method="dawid_skene")

    why = "the median item has 1 vote, and raters who never meet cannot be compared"
    assert (report["method"], report["not_dawid_skene"]) == ("majority", [why])
    assert str(refused.value) == (
        f"Dawid and Skene's method cannot settle these votes: {why}.\n"
        '  Fix: Take `method="auto"` or "majority", or let at least two raters answer each item, '
        "with rules that know every answer."
    )


def test_a_rule_that_knows_one_answer_only_cannot_carry_the_method():
    rows, truth = _crowd([0.9] * 4, items=150, overlap=3, seed=74)
    rule = [_row(e, "rule:win", "spam", source="rule") for e in list(truth)[::3]]

    _, report = _settled([*rows, *rule], SPAM)

    assert (report["method"], report["not_dawid_skene"]) == (
        "majority",
        ["'rule:win' gives one answer only, with which the method collapses"],
    )


def test_with_fifty_gold_items_raters_are_weighed_by_them():
    # three spammers outvote two good raters until gold tells them apart
    rows, truth = _crowd([0.95, 0.95, 0.5, 0.5, 0.5], items=90, overlap=5, gold=50, seed=75)

    labels, report = _settled(rows, SPAM)
    plain, _ = _settled(rows, SPAM, method="majority")
    _, few_report = _settled(rows[5:], SPAM)

    rest = [entity for entity in truth if labels[entity]["source"] != "gold"]
    right = [labels[e]["label"] == truth[e] for e in rest]
    plainly = [plain[e]["label"] == truth[e] for e in rest]
    assert (report["method"], few_report["method"]) == ("gold_weighted", "majority")
    assert len(rest) == 40
    assert sum(right) >= sum(plainly) + 3


def test_weights_by_gold_need_gold():
    with pytest.raises(DataError, match="none of the items with a vote has a known answer"):
        _settled([_row("x", "ada", "sport")], method="gold_weighted")


def test_dawid_and_skene_gives_way_where_majority_is_more_often_right_on_gold():
    rows, truth = _crowd([0.95] * 4 + [0.55] * 8, items=300, overlap=4, seed=76)
    labels, _ = _settled(rows, SPAM)
    plain, _ = _settled(rows, SPAM, method="majority")
    differing = [e for e in truth if labels[e]["label"] != plain[e]["label"]]
    sided = {e: plain[e]["label"] for e in differing[:10]}
    gold = [{**row, "gold": sided.get(row["entity"])} for row in rows]

    _, report = _settled(gold, SPAM)

    assert report["method"] == "majority"
    assert report["not_dawid_skene"][-1].startswith(f"on {len(sided)} gold items it is right in 0")


def test_votes_of_different_versions_never_mix():
    other = LabelSchema(choices=("business", "politics", "sport"), guideline="Read to the end.")
    rows = [_row("x", "ada", "sport"), _row("x", "bob", "sport", schema_version=other.version)]

    with pytest.raises(DataError) as refused:
        _settled(rows)

    counted = ", ".join(f"'{v}' (1 votes)" for v in sorted([TOPIC.version, other.version]))
    assert str(refused.value) == (
        "Votes of different versions of a label schema never mix: the schema that was given is "
        f"version '{TOPIC.version}', the votes are of {counted}.\n  Fix: Aggregate each version by "
        "itself, with the schema that was answered; label items again whose question has changed."
    )


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        pytest.param(
            [_row("x", "ada", "sports")],
            "The answer of 'ada' about 'x' cannot be read. The answer 'sports' is none of the "
            "choices. Did you mean 'sport'?",
            id="an unknown choice",
        ),
        pytest.param(
            [_row("x", "ada", "sport", gold="sport"), _row("x", "bob", "sport", gold="politics")],
            "The gold item 'x' has more than one known answer: 'politics' and 'sport'.",
            id="two known answers",
        ),
        pytest.param(
            [_row("x", "ada", "sport", gold="tennis")],
            "The known answer that was given to 'ada' about 'x' cannot be read. The answer "
            "'tennis' is none of the choices.",
            id="a wrong known answer",
        ),
        pytest.param(
            [_row("x", "ada", "sport", source="persn")],
            "Votes are of the source 'persn'. Did you mean 'person'?",
            id="an unknown source",
        ),
        pytest.param(
            [_row("x", "ada", "sport", slice="randon")],
            "Votes are of the slice 'randon'. Did you mean 'random'?",
            id="an unknown slice",
        ),
        pytest.param(
            [_row("x", "model:1", "sport", source="model", confidence=1.7)],
            "The vote of 'model:1' about 'x' has the confidence 1.7, which is not within 0 and 1.",
            id="a confidence that is none",
        ),
        pytest.param(
            [_row("x", "ada", None, skipped="unclear")],
            "None of the 1 votes has an answer; all are skips or abstentions.",
            id="no answer",
        ),
        pytest.param([], "There are no votes.", id="no votes"),
    ],
)
def test_what_cannot_be_settled_is_refused(rows: list[dict[str, Any]], problem: str):
    with pytest.raises(DataError) as refused:
        _settled(rows)

    assert refused.value.problem == problem


@pytest.mark.parametrize("kind", ["number", "ranking", "span"])
def test_dawid_and_skene_is_for_choices_and_the_plan_says_so(kind: Any):
    choices = () if kind == "number" else ("a", "b")
    schema = LabelSchema(kind=kind, choices=choices)

    call = PlannedCall(
        operator="aggregate_votes",
        parameters={"schema": schema, "method": "dawid_skene"},
        inputs={},
    )

    fitting = "auto, majority, gold_weighted" if kind == "number" else "auto, majority"
    problem = f"Votes of the kind '{kind}' cannot be settled by 'dawid_skene'."
    with pytest.raises(DefinitionError) as refused:
        aggregate_votes(_votes([], schema), schema=schema, method="dawid_skene")
    findings = aggregate_votes.options.check(call)

    assert [finding.problem for finding in findings] == [problem]
    assert str(refused.value) == f"{problem}\n  Fix: Take one of: {fitting}."


def test_several_choices_are_settled_one_by_one():
    schema = LabelSchema(kind="multi", choices=("a", "b", "c"))
    labels, report = _settled(
        [
            _row("x", "ada", '["a","b"]'),
            _row("x", "bob", '["a"]'),
            _row("x", "eve", '["c","a"]'),
            _row("y", "ada", "[]"),
            _row("y", "bob", "[]"),
        ],
        schema,
    )

    assert labels["x"]["label"] == '["a"]'
    assert labels["x"]["probability"] == pytest.approx(1 * 2 / 3 * 2 / 3)
    assert (labels["y"]["label"], labels["y"]["probability"]) == ("[]", 1.0)
    assert sorted(report["choices"]) == ["a", "b", "c"]


def test_numbers_become_the_median_which_one_slip_does_not_move():
    schema = LabelSchema(kind="number", unit="min")
    labels, report = _settled(
        [
            _row("x", "ada", "10.0"),
            _row("x", "bob", "11.0"),
            _row("x", "eve", "1000.0"),
            _row("y", "ada", "5.0"),
            _row("y", "bob", "6.0"),
            _row("z", "ada", "7.0"),
            _row("z", "bob", "7.5"),
        ],
        schema,
    )

    assert {e: row["label"] for e, row in labels.items()} == {"x": "11.0", "y": "5.5", "z": "7.25"}
    assert labels["x"]["probability"] == pytest.approx(2 / 3)
    assert labels["x"]["method"] == "median"
    assert report["widest"][0] == {"entity": "x", "range": 990.0}


def test_numbers_may_be_weighed_by_gold():
    schema = LabelSchema(kind="number")
    gold = [
        _row(f"g{at}", rater, f"{said}.0", slice="gold", gold="10.0")
        for at in range(20)
        for rater, said in (("ada", 10), ("bob", 20))
    ]

    labels, _ = _settled(
        [*gold, _row("x", "ada", "3.0"), _row("x", "bob", "9.0")], schema, method="gold_weighted"
    )

    assert labels["x"]["method"] == "weighted_mean"
    assert 3.0 < float(labels["x"]["label"]) < 4.5


def test_rankings_are_settled_by_bordas_count():
    schema = LabelSchema(kind="ranking", choices=("a", "b", "c"))
    # places: a 0 + 0 + 2, b 1 + 2 + 0, c 2 + 1 + 1
    labels, _ = _settled(
        [
            _row("x", "ada", '["a","b","c"]'),
            _row("x", "bob", '["a","c","b"]'),
            _row("x", "eve", '["b","c","a"]'),
        ],
        schema,
    )

    assert labels["x"]["label"] == '["a","b","c"]'
    # of nine pairs three + two + one stand so
    assert labels["x"]["probability"] == pytest.approx(6 / 9)
    assert labels["x"]["method"] == "borda"


def test_spans_are_kept_that_more_than_half_mark_alike():
    schema = LabelSchema(kind="span", choices=("name",))
    name, other = (f'{{"end":{end},"label":"name","start":0}}' for end in (4, 5))
    labels, _ = _settled(
        [
            _row("x", "ada", f"[{name}]"),
            _row("x", "bob", f"[{name},{other}]"),
            _row("x", "eve", f"[{other}]"),
            _row("x", "dan", f"[{name}]"),
            _row("y", "ada", f"[{name}]"),
            _row("y", "bob", f"[{other}]"),
            _row("z", "ada", "[]"),
        ],
        schema,
    )

    assert labels["x"]["label"] == f"[{name}]"
    assert labels["x"]["probability"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert (labels["y"]["label"], labels["y"]["probability"]) == ("[]", 0.5)
    assert (labels["z"]["label"], labels["z"]["probability"]) == ("[]", 1.0)


_ANY_VOTE = st.tuples(
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from(["ada", "bob", "rule:1"]),
    st.sampled_from([*TOPIC.choices, None]),
    st.integers(0, 3),
    st.sampled_from(["person", "adjudicator"]),
    st.sampled_from([None, 0.2, 0.9]),
)


@given(
    votes=st.lists(_ANY_VOTE, min_size=1, max_size=14).filter(
        lambda votes: any(label is not None for _, _, label, *_ in votes)
    ),
    order=st.randoms(use_true_random=False),
    cut=st.integers(0, 14),
    method=st.sampled_from(["auto", "majority"]),
)
@settings(max_examples=12, deadline=None)
def test_neither_the_order_of_votes_nor_how_they_are_dealt_out_matters(votes, order, cut, method):
    rows = [
        _row(
            entity,
            rater,
            label,
            voted_at=NOON + timedelta(hours=hour),
            source="rule" if rater.startswith("rule") else source,
            confidence=sure,
            seconds=sure,
        )
        for entity, rater, label, hour, source, sure in votes
    ]
    shuffled = list(rows)
    order.shuffle(shuffled)

    labels, report = aggregate_votes(_votes(rows, TOPIC), schema=TOPIC, method=method)
    again, report_again = aggregate_votes(
        _votes(shuffled[:cut], TOPIC), [_votes(shuffled[cut:], TOPIC)], schema=TOPIC, method=method
    )

    assert again.digest == labels.digest
    assert report_again.digest == report.digest


def test_the_order_of_votes_does_not_move_an_estimate():
    rows, _ = _crowd([0.95] * 4 + [0.55] * 8, items=200, overlap=4, seed=77)
    random = np.random.default_rng(7)
    shuffled = [rows[at] for at in random.permutation(len(rows))]

    labels, report = aggregate_votes(_votes(rows, SPAM), schema=SPAM)
    again, _ = aggregate_votes(_votes(shuffled, SPAM), schema=SPAM)

    assert report.document["method"] == "dawid_skene"
    assert again.digest == labels.digest


def test_aggregate_votes_keeps_the_contract():
    rows = [_row("x", "ada", "sport"), _row("x", "bob", "politics"), _row("y", "ada", "sport")]

    check_operator(aggregate_votes, _votes(rows, TOPIC), schema=TOPIC)
