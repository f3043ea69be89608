"""Labels join the rows that they are of: nothing is guessed, leaked or lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest

from headrace import Col, Examples, Schema, Table, flow
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.labels.schema import LabelSchema
from headrace.testing import check_operator
from operators.examples_from_labels import examples_from_labels

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
Make = Callable[..., Any]


class Call(Schema, Protocol):
    call: Annotated[str, Col(role="entity")]
    at: Annotated[datetime, Col(role="decision_time")]
    seconds: Annotated[float, Col(role="feature", known_at="at")]
    filed_at: Annotated[datetime, Col(role="known_time")]


def test_it_keeps_the_contract_of_operators(messages: Make, labels: Make, topic: Any) -> None:
    check_operator(examples_from_labels, messages(6), labels(range(6)), schema=topic)


def test_entities_join_as_text_in_the_order_of_the_rows(
    messages: Make, labels: Make, topic: Any
) -> None:
    examples, report = examples_from_labels(messages(4), labels([3, 0, 99]), schema=topic)

    frame = examples.frame()
    assert frame["message"].tolist() == [0, 3]
    assert frame["label"].tolist() == ["sport", "money"]
    assert frame["slice"].tolist() == ["random", "random"]
    document = report.document
    assert (document["examples"], document["without_row"]) == (2, 1)
    assert document["without_row_first"] == ["99"]
    assert document["answers"] == {"money": 1, "sport": 1}


def test_the_label_is_a_category_with_all_choices(messages: Make, labels: Make, topic: Any) -> None:
    examples, _ = examples_from_labels(messages(2), labels([0]), schema=topic)

    schema = examples.schema
    assert schema is not None
    label = schema.the("label")
    assert (label.dtype, label.categories) == ("category", ("sport", "money", "weather"))
    assert label.known_at == schema.the("known_time").name == "label_known_at"
    assert schema.the("decision_time").name == "as_of"
    assert [c.name for c in schema.with_role("feature")] == ["text", "words"]


def test_a_number_is_a_float_with_its_unit(messages: Make, labels: Make) -> None:
    stars = LabelSchema(kind="number", low=0, high=5, unit="stars")
    given = labels([0, 1], label=["4", "2.5"], schema_version=[stars.version] * 2)

    examples, _ = examples_from_labels(messages(2), given, schema=stars)

    schema = examples.schema
    assert schema is not None
    assert examples.frame()["label"].tolist() == [4.0, 2.5]
    assert (schema.the("label").dtype, schema.the("label").unit) == ("float", "stars")


def test_doubtful_labels_are_left_out_of_training_and_never_of_the_random_slice(
    messages: Make, labels: Make, topic: Any
) -> None:
    given = labels(
        range(6), probability=[0.5, 0.5, 0.9, 0.5, 0.9, 0.9], conflict=[True, *[False] * 4, True]
    )

    examples, report = examples_from_labels(
        messages(6), given, schema=topic, min_probability=0.8, conflicts="drop"
    )

    assert examples.frame()["message"].tolist() == [0, 2, 3, 4]
    assert report.document["left_out"] == {"less sure": 1, "votes differ": 1}


def test_what_an_earlier_selection_said_is_neither_kept_nor_a_feature(
    messages: Make, labels: Make, topic: Any
) -> None:
    class Selected(Schema, Protocol):
        message: Annotated[int, Col(role="entity")]
        slice: str
        priority: float
        suggested: str

    selected = Table[Selected].of(
        messages(2).frame().assign(slice="chosen", priority=0.5, suggested="sport")
    )

    examples, _ = examples_from_labels(selected, labels([0, 1]), schema=topic)

    assert examples.frame()["slice"].tolist() == ["random", "chosen"]
    assert not {"priority", "suggested"} & set(examples.frame().columns)


def test_a_table_with_a_decision_keeps_it(labels: Make, topic: Any) -> None:
    calls = Table[Call].of(
        {"call": ["0"], "at": [NOON], "seconds": [9.0], "filed_at": [NOON + timedelta(days=1)]}
    )

    examples, _ = examples_from_labels(calls, labels([0], as_of=[NOON]), schema=topic)

    schema = examples.schema
    assert schema is not None
    assert schema.the("decision_time").name == "at"
    assert schema.the("known_time").name == "label_known_at"
    assert "as_of" not in schema


def test_a_feature_from_after_the_label_was_given_for_is_a_leak(labels: Make, topic: Any) -> None:
    later = Table[Call].of(
        {"call": ["0", "1"], "at": [NOON, NOON], "seconds": [9.0, 9.0], "filed_at": [NOON, NOON]}
    )
    given = labels([0, 1], as_of=[NOON, NOON - timedelta(hours=2)])

    with pytest.raises(LeakageError) as refused:
        examples_from_labels(later, given, schema=topic)

    assert str(refused.value) == (
        "Feature 'seconds' was known at 2024-05-01T12:00:00.000000Z for '1', after "
        "2024-05-01T10:00:00.000000Z, for which its label was given, and so for 1 of 2 labelled "
        "rows.\n"
        "  Fix: Join labels to the rows as they were when people were asked: keep the table that "
        "was requested, or read the features as of then."
    )


def test_labels_of_no_moment_are_counted_as_unchecked(labels: Make, topic: Any) -> None:
    calls = Table[Call].of({"call": ["0"], "at": [NOON], "seconds": [9.0], "filed_at": [NOON]})
    given = labels([0], as_of=[datetime(1970, 1, 1, tzinfo=UTC)])

    _, report = examples_from_labels(calls, given, schema=topic)

    assert report.document["times_unchecked"] == 1


def test_the_plan_names_a_feature_that_does_not_say_when_it_is_known(
    home: Path, labels: Make, topic: Any
) -> None:
    class Untimed(Call, Protocol):
        volume: Annotated[float, Col(role="feature")]

    calls = Table[Untimed].of(
        {"call": ["0"], "at": [NOON], "seconds": [9.0], "filed_at": [NOON], "volume": [1.0]}
    )

    @flow
    def untimed() -> Examples[Any]:
        return examples_from_labels(calls, labels([0]), schema=topic)[0]

    (problem,) = untimed.plan().problems
    assert "Feature 'volume' does not say when it is known." in problem.problem
    with pytest.raises(LeakageError, match="Feature 'volume' does not say when it is known"):
        examples_from_labels(calls, labels([0]), schema=topic)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"entity": ["0", "0"]},
            "Entity '0' occurs twice in the labels, in rows 0 and 1.\n"
            "  Fix: Keep one row for each entity; with several moments of one, name the row by "
            "both.",
            id="an entity twice",
        ),
        pytest.param(
            {"label": ["sport", "sports"]},
            "The answer 'sports' is none of the choices. Did you mean 'sport'?\n"
            "  Fix: Answer with one of: sport, money, weather.",
            id="no answer of the schema",
        ),
        pytest.param(
            {"entity": ["x", "y"]},
            "No example is left of 2 labels and 4 rows: 2 find no row ('x', 'y').\n"
            "  Fix: Give the table that the labels were asked for, and lower what labels must "
            "fulfil.",
            id="labels of other rows",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    messages: Make, labels: Make, topic: Any, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as refused:
        examples_from_labels(messages(4), labels([0, 1], **changes), schema=topic)

    assert str(refused.value) == said


def test_labels_of_another_version_never_mix(messages: Make, labels: Make, topic: Any) -> None:
    given = labels([0, 1], schema_version=[topic.version, "0" * 12])

    with pytest.raises(DataError) as refused:
        examples_from_labels(messages(2), given, schema=topic)

    assert str(refused.value) == (
        f"1 of 2 labels were given by version 000000000000 of the schema, not by {topic.version}; "
        "what they mean may differ.\n"
        "  Fix: Take labels of one version, with the schema by which they were given."
    )


def test_a_ranking_is_no_label_to_fit_on(messages: Make, labels: Make) -> None:
    tags = LabelSchema(kind="ranking", choices=("a", "b"))

    with pytest.raises(DefinitionError) as refused:
        examples_from_labels(messages(2), labels([0]), schema=tags)

    assert str(refused.value) == (
        "Labels of the kind 'ranking' are no classes and no number, which is what a model is "
        "fitted on.\n"
        "  Fix: Derive choices or a number from them, and label with that."
    )


def test_a_table_that_has_the_answer_already_is_refused(labels: Make, topic: Any) -> None:
    class Known(Schema, Protocol):
        message: Annotated[int, Col(role="entity")]
        truth: Annotated[str, Col(role="label")]

    known = Table[Known].of({"message": [0], "truth": ["sport"]})

    with pytest.raises(DefinitionError) as refused:
        examples_from_labels(known, labels([0]), schema=topic)

    assert str(refused.value) == (
        "Schema 'Known' has a label already: 'truth'.\n"
        "  Fix: Take the role 'label' from 'truth', or leave the column out of the table."
    )
