"""Any model of classes says how probable each is; what cannot is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol

import numpy as np
import pytest

from headrace import Col, Model, Schema, Table, TrainSet, ValidationSet
from headrace.errors import DataError, DefinitionError
from operators.class_probabilities import class_probabilities
from operators.scoring import load
from operators.train_sklearn import train_sklearn


class Trip(Schema, Protocol):
    wind: Annotated[float, Col(role="feature")]
    late: Annotated[bool, Col(role="label")]


class Lasting(Schema, Protocol):
    wind: Annotated[float, Col(role="feature")]
    minutes: Annotated[float, Col(role="label")]


def test_each_row_sums_to_one_whatever_its_values(
    labeler: Model, messages: Callable[..., Table[Any]]
) -> None:
    strange = {"text": [None, "", "never seen", "goal " * 9_999], "words": [0, 1, 2, 1e9]}

    classes, found = class_probabilities(labeler, strange)

    assert (classes, found.shape) == (("sport", "money", "weather"), (4, 3))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found[:, 2].max() == 0.0


def test_artifacts_frames_and_columns_are_answered_alike(
    labeler: Model, messages: Callable[..., Table[Any]]
) -> None:
    rows = messages(5)

    answers = [
        class_probabilities(labeler, given)[1]
        for given in (rows, rows.frame(), rows.arrow().to_pydict())
    ]

    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_no_rows_have_no_probabilities(labeler: Model) -> None:
    assert class_probabilities(labeler, {"text": [], "words": []})[1].shape == (0, 3)


def test_a_model_of_two_classes_answers_for_both() -> None:
    rows = {"wind": [1.0, 2.0, 8.0, 9.0], "late": [False, False, True, True]}
    model = train_sklearn(
        TrainSet[Trip].of(rows), ValidationSet[Trip].of(rows), estimator="logistic_regression"
    )

    classes, found = class_probabilities(model, rows)

    assert classes == ("false", "true")
    np.testing.assert_array_equal(found[:, 1], load(model).score(rows))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_an_estimation_has_no_classes() -> None:
    rows = {"wind": [1.0, 2.0, 8.0, 9.0], "minutes": [1.0, 2.0, 3.0, 4.0]}
    model = train_sklearn(
        TrainSet[Lasting].of(rows),
        ValidationSet[Lasting].of(rows),
        task="estimation",
        estimator="ridge",
    )

    with pytest.raises(DefinitionError) as refused:
        class_probabilities(model, rows)

    assert str(refused.value) == (
        f"The sklearn model {model.digest[:12]} estimates 'minutes', a value: there are no classes "
        "that could be probable.\n"
        "  Fix: Give a model of classes, from `train_labeler` or a trainer with "
        'task="classification".'
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param(
            {"txt": ["goal"], "words": [1]},
            "The rows lack feature 'text', which the labeler model was fitted on. Did you mean "
            "'txt'?\n  Fix: Give every feature of the model's card; a null where it is not known.",
            id="no text",
        ),
        pytest.param(
            {"text": ["goal"]},
            "The rows lack feature 'words', which the labeler model was fitted on. Known: 'text'."
            "\n  Fix: Give every feature of the model's card; a null where it is not known.",
            id="no number",
        ),
        pytest.param(
            {"text": [3], "words": [1]},
            "Feature 'text' is text but holds 3.\n"
            "  Fix: Give it as text, or as null where it is not known.",
            id="a number for a text",
        ),
        pytest.param(
            {"text": ["goal"], "words": ["many"]},
            "Feature 'words' is int but holds 'many'.\n"
            "  Fix: Give it as int, or as null where it is not known.",
            id="a text for a number",
        ),
        pytest.param(
            {"text": ["goal", "cup"], "words": [1]},
            "The columns of features are not equally long: 'text' 2, '0: words' 1.\n"
            "  Fix: Give every feature one value a row; a null where it is not known.",
            id="of unequal length",
        ),
    ],
)
def test_rows_that_cannot_be_read_are_refused_by_column(
    labeler: Model, rows: dict[str, list[Any]], said: str
) -> None:
    with pytest.raises(DataError) as refused:
        class_probabilities(labeler, rows)

    assert str(refused.value) == said
