"""Rules vote, abstain and are measured; a rule that is wrong is named with the row it fell over."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import pytest
from pydantic import ValidationError

from headrace import Col, Schema, Table
from headrace.errors import DataError, DefinitionError
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.testing import check_operator
from operators.label_by_rules import LabelingRule, label_by_rules, labeling_rule

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
Make = Callable[..., Any]


@labeling_rule(choices=("sport",), columns=("text",))
def mentions_team(row: Any) -> str | None:
    return "sport" if "team" in (row["text"] or "") else None


@labeling_rule
def by_length(row: Any) -> str:
    return "money" if row["words"] > 5 else "sport"


@labeling_rule(columns=("text",))
def careless(row: Any) -> str | None:
    return "money" if "bank" in row["text"] else None


class Note(Schema, Protocol):
    note: Annotated[str, Col(role="entity")]
    text: str | None
    owner: Annotated[str, Col(sensitivity="personal")]


def _notes(*texts: str | None) -> Table[Any]:
    return Table[Note].of(
        {
            "note": [f"n{i}" for i in range(len(texts))],
            "text": list(texts),
            "owner": ["Ada Lovelace"] * len(texts),
        }
    )


def test_it_keeps_the_contract_of_operators(messages: Make, topic: LabelSchema) -> None:
    check_operator(label_by_rules, messages(4), rules=[mentions_team, by_length], schema=topic)


def test_a_vote_says_who_gave_it_by_what_and_as_of_when(messages: Make, topic: LabelSchema) -> None:
    votes, _ = label_by_rules(messages(2), rules=[mentions_team, by_length], schema=topic)

    rows = votes.frame()[["entity", "rater", "source", "label"]].to_numpy().tolist()
    assert rows == [
        ["0", "rule:mentions_team", "rule", "sport"],
        ["0", "rule:by_length", "rule", "sport"],
        ["1", "rule:by_length", "rule", "sport"],
    ]
    assert set(votes.frame()["schema_version"]) == {topic.version}
    assert set(votes.frame()["as_of"]) == {datetime(1970, 1, 1, tzinfo=UTC)}


def test_votes_hold_as_of_the_decision_of_their_row(topic: LabelSchema) -> None:
    class Timed(Schema, Protocol):
        note: Annotated[str, Col(role="entity")]
        at: Annotated[datetime, Col(role="decision_time")]

    rows = Table[Timed].of({"note": ["n"], "at": [NOON]})
    always = LabelingRule(name="always", fn=lambda row: "sport")

    votes, _ = label_by_rules(rows, rules=[always], schema=topic)

    assert votes.frame()[["as_of", "voted_at"]].to_numpy().tolist() == [[NOON, NOON]]


def test_the_report_counts_coverage_overlap_conflicts_and_accuracy(
    messages: Make, labels: Make, topic: LabelSchema
) -> None:
    clashing = LabelingRule(name="clashing", fn=lambda row: "money" if row["words"] < 5 else None)

    _, report = label_by_rules(
        messages(6), labels(range(6)), rules=[mentions_team, clashing], schema=topic
    )

    document = report.document
    # 0 and 4 mention the team; shares and profit fell (3) is the only message of four words
    assert (document["rows"], document["votes"]) == (6, 3)
    assert document["coverage"] == pytest.approx(3 / 6)
    assert document["overlap"] == document["conflicts"] == 0.0
    team, clash = document["rules"]
    assert (team["votes"], team["unipolar"], team["answers"]) == (2, True, {"sport": 2})
    assert (team["gold"]["right"], team["gold"]["rows"]) == (2, 2)
    assert team["gold"]["low"] < 0.4 < team["gold"]["high"] == 1.0
    assert clash["unipolar"] is True
    assert document["unipolar"] == ["mentions_team", "clashing"]


def test_rules_that_differ_are_counted_as_conflicts(messages: Make, topic: LabelSchema) -> None:
    contrary = LabelingRule(name="contrary", fn=lambda row: "money")

    _, report = label_by_rules(messages(6), rules=[mentions_team, contrary], schema=topic)

    document = report.document
    assert document["overlap"] == document["conflicts"] == pytest.approx(2 / 6)
    assert [rule["conflicts"] for rule in document["rules"]] == [pytest.approx(2 / 6)] * 2
    assert document["gold"] == 0
    assert document["rules"][0]["gold"] is None


def test_a_rule_that_raises_is_refused_with_row_value_and_line(topic: LabelSchema) -> None:
    with pytest.raises(DataError) as refused:
        label_by_rules(_notes("the bank", None), rules=[careless], schema=topic)

    line = careless.fn.__code__.co_firstlineno + 2
    assert str(refused.value) == (
        "Rule 'careless' raised TypeError: argument of type 'NoneType' is not iterable in row 1 "
        f"(entity 'n1'), machine_labels/test_label_by_rules.py, line {line}; it saw text=None.\n"
        "  Fix: Correct the rule (a null is None there), or let it abstain where it raises: "
        'on_error="abstain".'
    )
    assert isinstance(refused.value.__cause__, TypeError)


def test_a_rule_that_may_raise_abstains_there_and_is_counted(topic: LabelSchema) -> None:
    votes, report = label_by_rules(
        _notes("the bank", None, None), rules=[careless], schema=topic, on_error="abstain"
    )

    (rule,) = report.document["rules"]
    assert votes.rows == 1
    assert (rule["errors"], report.document["errors"]) == (2, 2)
    assert rule["first_error"] == (
        "TypeError: argument of type 'NoneType' is not iterable in row 1 (entity 'n1')"
    )


def test_a_column_that_a_rule_does_not_see_is_named_with_the_nearest(topic: LabelSchema) -> None:
    typo = LabelingRule(name="typo", fn=lambda row: row["txt"], columns=("text", "owner"))

    with pytest.raises(DataError) as refused:
        label_by_rules(_notes("a"), rules=[typo], schema=topic)

    assert "it saw text='a', owner=…. It sees no column 'txt'. Did you mean 'text'?" in str(
        refused.value
    )
    assert "Ada" not in str(refused.value)


def test_a_rule_sees_its_columns_only_never_the_label_and_changes_nothing(
    topic: LabelSchema,
) -> None:
    class Judged(Schema, Protocol):
        note: Annotated[str, Col(role="entity")]
        text: str
        truth: Annotated[str, Col(role="label")]

    seen: list[tuple[str, ...]] = []

    def curious(row: Any) -> None:
        seen.append(tuple(row))
        row["text"] = "sport"

    rows = Table[Judged].of({"note": ["n"], "text": ["a"], "truth": ["sport"]})

    with pytest.raises(DataError, match="raised TypeError: 'Row' object does not support item"):
        label_by_rules(rows, rules=[LabelingRule(name="curious", fn=curious)], schema=topic)
    assert seen == [("note", "text")]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        pytest.param(
            LabelingRule(name="typo", fn=lambda row: "sports"),
            "Rule 'typo' answers for row 0 (entity 'n0'): The answer 'sports' is none of the "
            "choices. Did you mean 'sport'?\n"
            "  Fix: Answer with one of: sport, money, weather.",
            id="no choice",
        ),
        pytest.param(
            LabelingRule(name="strays", fn=lambda row: "money", choices=("sport",)),
            "Rule 'strays' answers 'money' for row 0 (entity 'n0'), but says that it only answers "
            "sport.\n"
            "  Fix: Add the answer to the rule's choices, or correct the rule.",
            id="not its own choice",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(
    topic: LabelSchema, rule: LabelingRule, said: str
) -> None:
    with pytest.raises(DataError) as refused:
        label_by_rules(_notes("a"), rules=[rule], schema=topic, on_error="abstain")

    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param([], "There are no rules.", id="none"),
        pytest.param(
            [mentions_team, mentions_team],
            "Two rules are called 'mentions_team', so nobody could tell their votes apart.",
            id="two of one name",
        ),
        pytest.param(
            [LabelingRule(name="r", fn=len, columns=("txt",))],
            "Rule 'r' is to see 'txt', which is no column of schema 'Note'. Did you mean 'text'?",
            id="no such column",
        ),
        pytest.param(
            [LabelingRule(name="r", fn=len, choices=("sports",))],
            "Rule 'r' may answer 'sports', which is no answer of the schema. Did you mean 'sport'?",
            id="no such choice",
        ),
    ],
)
def test_rules_that_do_not_fit_are_refused_before_any_row_is_looked_at(
    topic: LabelSchema, rules: list[LabelingRule], said: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        label_by_rules(_notes("a"), rules=rules, schema=topic)

    assert refused.value.problem == said


def test_a_task_says_what_may_be_answered_too(topic: LabelSchema) -> None:
    task = LabelTask(name="notes", labels=topic, entity="note", show=("text",))

    votes, _ = label_by_rules(_notes("the bank"), rules=[careless], task=task)
    with pytest.raises(DefinitionError) as refused:
        label_by_rules(_notes("the bank"), rules=[careless])

    assert votes.frame()["label"].tolist() == ["money"]
    assert str(refused.value) == (
        "The rules are given neither a task nor a schema, so it is not known what may be "
        "answered.\n  Fix: Give one of them."
    )


def test_answers_of_other_kinds_are_written_in_their_one_form() -> None:
    tags = LabelSchema(kind="multi", choices=("a", "b"))
    both = LabelingRule(name="both", fn=lambda row: ["b", "a"])

    votes, _ = label_by_rules(_notes("x"), rules=[both], schema=tags)

    assert votes.frame()["label"].tolist() == ['["a","b"]']


def test_two_rows_of_one_entity_are_refused(topic: LabelSchema) -> None:
    twice = Table[Note].of({"note": ["n", "n"], "text": ["a", "b"], "owner": ["x", "y"]})

    with pytest.raises(DataError, match="Entity 'n' occurs twice in the table, in rows 0 and 1"):
        label_by_rules(twice, rules=[careless], schema=topic)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(
            {"name": "<lambda>", "fn": len}, "'<lambda>' is no name of a rule.", id="a lambda"
        ),
        pytest.param(
            {"name": "r", "fn": len, "columns": ()},
            "Rule 'r' has no columns: they are ().",
            id="nothing to see",
        ),
    ],
)
def test_a_rule_that_is_none_is_refused_where_it_is_declared(
    made: dict[str, Any], said: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        LabelingRule(**made)

    assert refused.value.problem == said


def test_a_rule_without_a_function_or_with_text_for_a_tuple_is_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be callable"):
        LabelingRule(name="r", fn=3)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="Input should be a valid tuple"):
        LabelingRule(name="r", fn=len, choices="sport")  # type: ignore[arg-type]


def test_a_decorated_rule_travels_to_another_process_by_its_name() -> None:
    sent = pickle.loads(pickle.dumps(mentions_team))  # noqa: S301

    assert sent.fn is mentions_team.fn


def test_a_rule_can_be_asked_by_hand() -> None:
    assert mentions_team({"text": "a team"}) == "sport"
    assert mentions_team({"text": None}) is None
