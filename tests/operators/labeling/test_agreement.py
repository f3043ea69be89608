"""These tests specify agreement: alpha by the book, kappa, records on gold, and suggestions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from headrace.labels.items import VoteRecord
from headrace.labels.schema import LabelSchema
from operators._agreement import Opinion, agreement_of, agreement_of_opinions
from operators._alpha import Metric, alpha_with_interval, krippendorff_alpha

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
SCHEMA = LabelSchema(choices=("a", "b", "c"))
_ = None

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four observers, twelve units
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
# the same, two observers and a nominal variable of five values (a b c d e)
TWO_OBSERVERS = [
    [0, 0, 1, 1, 3, 2, 2, 2, 4, 3, 3, 0],
    [1, 0, 1, 1, 1, 2, 2, 2, 4, 3, 3, 3],
]


def _vote(entity: str, rater: str, label: str | None, **changes: Any) -> VoteRecord:
    vote = VoteRecord(
        number=0,
        entity=entity,
        batch="one",
        rater=rater,
        source="person",
        label=label,
        skipped=None if label is not None else "unclear",
        seconds=None,
        at=NOON,
        as_of=NOON,
        schema_version=SCHEMA.version,
        slice="chosen",
        gold=None,
        suggested=None,
        suggested_by=None,
        suggestion_shown=False,
    )
    return replace(vote, **changes)


def _long(table: Sequence[Sequence[int | None]]) -> tuple[np.ndarray, np.ndarray]:
    cells = [(unit, v) for row in table for unit, v in enumerate(row) if v is not None]
    units, values = zip(*cells, strict=True)
    return np.array(units), np.array(values, dtype=float)


def _by_hand(units: Sequence[int], values: Sequence[float], metric: Metric) -> float | None:
    """Alpha as the book defines it: a coincidence matrix and a table of squared differences."""
    names = sorted(set(values))
    matrix = {pair: 0.0 for pair in itertools.product(names, names)}
    for unit in set(units):
        said = [v for u, v in zip(units, values, strict=True) if u == unit]
        for one, two in itertools.permutations(range(len(said)), 2):
            matrix[said[one], said[two]] += 1 / (len(said) - 1)
    margin = {c: sum(matrix[c, k] for k in names) for c in names}
    total = sum(margin.values())

    def squared(c: float, k: float) -> float:
        if metric == "nominal":
            return float(c != k)
        if metric == "interval":
            return (c - k) ** 2
        low, high = sorted((c, k))
        between = sum(margin[g] for g in names if low <= g <= high)
        return float((between - (margin[c] + margin[k]) / 2) ** 2)

    observed = sum(matrix[c, k] * squared(c, k) for c in names for k in names)
    expected = sum(margin[c] * margin[k] * squared(c, k) for c in names for k in names)
    return None if expected == 0 else 1 - (total - 1) * observed / expected


@pytest.mark.parametrize(
    ("table", "metric", "published"),
    [
        pytest.param(TWO_OBSERVERS, "nominal", 0.692, id="two observers, nominal"),
        pytest.param(FOUR_OBSERVERS, "nominal", 0.743, id="four observers with gaps, nominal"),
        pytest.param(FOUR_OBSERVERS, "ordinal", 0.815, id="four observers with gaps, ordinal"),
        pytest.param(FOUR_OBSERVERS, "interval", 0.849, id="four observers with gaps, interval"),
    ],
)
def test_alpha_is_what_krippendorff_published(table, metric: Metric, published: float):
    units, values = _long(table)

    assert krippendorff_alpha(units, values, metric=metric) == pytest.approx(published, abs=5e-4)


@given(
    votes=st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 3)), min_size=2, max_size=25),
    metric=st.sampled_from(["nominal", "ordinal", "interval"]),
)
@settings(max_examples=150, deadline=None)
def test_alpha_is_what_its_definition_gives(votes: list[tuple[int, int]], metric: Metric):
    units, values = map(list, zip(*votes, strict=True))
    paired = [(u, v) for u, v in votes if units.count(u) > 1]
    expected = _by_hand(*zip(*paired, strict=True), metric) if paired else None

    found = krippendorff_alpha(np.array(units), np.array(values, dtype=float), metric=metric)

    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_the_interval_of_alpha_holds_the_truth_and_shrinks_with_more_items():
    random = np.random.default_rng(5)

    def drawn(items: int) -> tuple[np.ndarray, np.ndarray]:
        truth = random.integers(0, 2, size=items)
        said = np.where(random.random((3, items)) < 0.8, truth, 1 - truth)
        return np.tile(np.arange(items), 3), said.ravel().astype(float)

    few = alpha_with_interval(*drawn(100), metric="nominal")
    many = alpha_with_interval(*drawn(2_000), metric="nominal")

    # two that are right in 80 % agree in 68 %, by chance in 50 %: alpha is 0.36
    assert few.low < 0.36 < few.high
    assert many.low < 0.36 < many.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_alpha_is_absent_and_says_why_where_nothing_can_be_compared():
    alone = agreement_of([_vote("x", "ada", "a"), _vote("y", "bob", "b")], SCHEMA)
    same = agreement_of([_vote("x", "ada", "a"), _vote("x", "bob", "a")], SCHEMA)

    assert (alone.alpha.value, alone.alpha.why) == (None, "no item has answers of two raters")
    assert (same.alpha.value, same.alpha.why) == (
        None,
        "all answers are the same, so chance would agree as well",
    )


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30
    ).filter(lambda pairs: len({c for pair in pairs for c in pair}) > 1)
)
@settings(max_examples=60, deadline=None)
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]):
    votes = [
        _vote(str(at), rater, label)
        for at, pair in enumerate(pairs)
        for rater, label in zip(("ada", "bob"), pair, strict=True)
    ]

    found = agreement_of(votes, SCHEMA).pairs[0]

    assert (found.a, found.b, found.items) == ("ada", "bob", len(pairs))
    assert found.kappa == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


def test_a_record_on_gold_counts_answers_and_its_interval_is_wilsons():
    gold = {str(at): "a" for at in range(10)}
    votes = [_vote(e, "ada", "a" if e != "0" else "b", gold=g) for e, g in gold.items()]

    record = agreement_of([*votes, _vote("x", "ada", None)], SCHEMA).raters[0]

    assert (record.votes, record.skips, record.gold_answers, record.gold_right) == (10, 1, 10, 9)
    assert record.accuracy == 0.9
    # Wilson's 95 % interval of 9 out of 10, by hand
    assert (record.low, record.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)


def test_a_rater_without_gold_has_no_accuracy():
    record = agreement_of([_vote("x", "ada", "a")], SCHEMA).raters[0]

    assert (record.accuracy, record.low, record.high) == (None, None, None)


def test_the_last_answer_of_a_rater_counts_and_an_adjudicators_is_no_part_of_alpha():
    later = NOON.replace(hour=13)
    votes = [
        _vote("x", "ada", "a"),
        _vote("x", "ada", "b", at=later, batch="two"),
        _vote("x", "bob", "b"),
        _vote("y", "ada", "a"),
        _vote("y", "bob", "a"),
    ]
    decided = [*votes, _vote("x", "eve", "c", source="adjudicator")]

    assert agreement_of(votes, SCHEMA).alpha.value == 1.0
    assert agreement_of(decided, SCHEMA).alpha == agreement_of(votes, SCHEMA).alpha
    assert agreement_of(decided, SCHEMA).votes == 5


def test_who_follows_suggestions_is_seen_by_hiding_some():
    shown = [
        _vote(f"s{at}", "ada", "a" if at < 18 else "b", suggested="a", suggestion_shown=True)
        for at in range(20)
    ]
    hidden = [_vote(f"h{at}", "ada", "a" if at < 10 else "b", suggested="a") for at in range(20)]

    found = agreement_of([*shown, *hidden, _vote("n", "ada", "a")], SCHEMA).suggestions

    assert (found.shown.votes, found.shown.agreed, found.shown.share) == (20, 18, 0.9)
    assert (found.hidden.votes, found.hidden.agreed, found.hidden.share) == (20, 10, 0.5)
    assert found.difference == pytest.approx(0.4)
    assert 0 < found.low < 0.4 < found.high < 0.7


def test_without_suggestions_nothing_is_said_of_them():
    assert agreement_of([_vote("x", "ada", "a")], SCHEMA).suggestions is None


@pytest.mark.parametrize(
    ("schema", "same", "near", "far"),
    [
        pytest.param(LabelSchema(kind="number"), "1.0", "1.1", "9.0", id="numbers"),
        pytest.param(
            LabelSchema(kind="ranking", choices=("a", "b", "c")),
            '["a","b","c"]',
            '["a","c","b"]',
            '["c","b","a"]',
            id="rankings",
        ),
        pytest.param(
            LabelSchema(kind="multi", choices=("a", "b", "c")),
            '["a"]',
            '["a","b"]',
            '["b","c"]',
            id="several choices",
        ),
    ],
)
def test_near_answers_agree_more_than_far_ones(schema, same, near, far):
    def alpha(second: str) -> float:
        votes = [_vote(e, r, same) for e in "wxy" for r in ("ada", "bob")]
        votes += [_vote("v", "ada", far), _vote("v", "bob", far)]
        votes += [_vote("z", "ada", same), _vote("z", "bob", second)]
        return agreement_of(votes, schema).alpha.value

    assert alpha(same) == pytest.approx(1.0)
    assert 1.0 > alpha(near) > alpha(far)


def test_a_report_of_agreement_is_json():
    import json

    votes = [_vote("x", "ada", "a", gold="a"), _vote("x", "bob", "b", gold="a")]

    document = agreement_of(votes, SCHEMA).to_json()

    assert json.loads(json.dumps(document)) == document
    assert [record["rater"] for record in document["raters"]] == ["ada", "bob"]


def test_the_order_of_votes_does_not_matter(shuffled: Callable[[list[Any]], list[Any]]):
    votes = [
        _vote(str(e), r, "abc"[(e * k) % 3], gold="a" if e == 0 else None)
        for e in range(9)
        for k, r in enumerate(("ada", "bob", "eve"), start=1)
    ]

    assert agreement_of(shuffled(votes), SCHEMA) == agreement_of(votes, SCHEMA)


@pytest.fixture
def shuffled() -> Callable[[list[Any]], list[Any]]:
    random = np.random.default_rng(3)
    return lambda values: [values[at] for at in random.permutation(len(values))]


def test_numbers_are_right_on_gold_within_the_tolerance_and_their_distance_is_told():
    def of(schema: LabelSchema) -> Any:
        said = [("i1", "10.0", "10.4"), ("i2", "20.0", "22.0")]
        votes = [
            Opinion(item, "ada", "person", answer, 1.0, gold, None, False)
            for item, gold, answer in said
        ]
        return agreement_of_opinions(votes, schema).to_json()["raters"][0]

    near = of(LabelSchema(kind="number", tolerance=0.5))
    exact = of(LabelSchema(kind="number"))

    assert (near["gold_right"], near["gold_answers"]) == (1, 2)
    assert near["gold_error"] == exact["gold_error"] == pytest.approx(1.2)
    assert exact["gold_right"] == 0


def test_a_pair_that_estimates_agrees_within_the_tolerance_and_has_a_distance_and_no_kappa():
    said = [
        ("i1", "ada", "10.0"),
        ("i1", "bob", "10.4"),
        ("i2", "ada", "20.0"),
        ("i2", "bob", "22"),
    ]
    votes = [Opinion(i, who, "person", n, 1.0, None, "10.1", True) for i, who, n in said]
    schemas = [LabelSchema(kind="number", tolerance=0.5), LabelSchema(kind="number")]

    within, to_the_digit = (agreement_of_opinions(votes, s).to_json() for s in schemas)
    near, exact = within["pairs"][0], to_the_digit["pairs"][0]

    assert [x["suggestions"]["shown"]["agreed"] for x in (within, to_the_digit)] == [2, 0]
    assert (near["agreement"], near["kappa"]) == (0.5, None)
    assert near["apart"] == exact["apart"] == pytest.approx(1.2)
    assert exact["agreement"] == 0


def test_a_tolerance_is_another_version_and_none_is_the_version_that_there_was():
    plain = LabelSchema(kind="number", low=0)

    assert "tolerance" not in plain.model_dump()
    assert LabelSchema(**plain.model_dump()) == plain
    assert LabelSchema(kind="number", low=0, tolerance=1).version != plain.version
    assert LabelSchema(choices=("a", "b")).version == "955e037febc2"
