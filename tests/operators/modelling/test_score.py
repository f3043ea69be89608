from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

import numpy as np
import pytest

from headrace import Col, Examples, Predictions, Schema, SelectedModel, Table, TrainSet
from headrace import ValidationSet as Validation
from headrace.errors import BoundaryError, LeakageError, SchemaError
from headrace.plan import plan_flow
from headrace.schemas import Column
from headrace.testing import check_operator
from operators.score import _CHUNK, score
from operators.scoring import load
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost


class Trips(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    wind: Annotated[float | None, Col(role="feature")]
    hour: Annotated[int, Col(role="feature")]
    carrier: Annotated[str | None, Col(role="feature")]
    weekend: Annotated[bool, Col(role="feature")]


class Misspelt(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    wnd: Annotated[float, Col(role="feature")]
    hour: Annotated[str, Col(role="feature")]
    carrier: Annotated[str, Col(role="feature")]
    weekend: Annotated[bool, Col(role="feature")]


@pytest.fixture(scope="module")
def selected(data):
    return SelectedModel.chosen(train_xgboost(data.train, data.validation, n_estimators=20))


def _rows(data, **changes):
    return Table.of(data.frames["test"], schema=data.schema(label=None, **changes))


def test_each_row_gets_the_models_own_answer(data, selected):
    rows = _rows(data)

    predictions = score(selected, rows)

    frame = predictions.frame()
    assert isinstance(predictions, Predictions)
    assert predictions.schema is not None
    assert predictions.schema.names == ("trip", "decided_at", "score")
    assert [c.role for c in predictions.schema.columns] == ["entity", "decision_time", None]
    assert frame["trip"].tolist() == data.frames["test"]["trip"].tolist()
    np.testing.assert_array_equal(frame["score"], load(selected).score(data.frames["test"]))


def test_score_keeps_the_contract(data, selected):
    check_operator(score, selected, _rows(data))


@pytest.mark.parametrize("trainer", [train_xgboost, train_sklearn, train_torch])
@pytest.mark.parametrize("task", ["classification", "estimation"])
def test_scores_do_not_depend_on_threads(data, trainer, task):
    label = Column(name="label", dtype="float" if task == "estimation" else "int", role="label")
    sets = [
        kind.of(
            data.frames[name].astype({"label": "float64"} if task == "estimation" else {}),
            schema=data.schema(label=label),
        )
        for kind, name in ((TrainSet, "train"), (Validation, "validation"))
    ]
    model = trainer(*sets, task=task, **{_LEAST[trainer]: 2})

    one, two = (score(model, _rows(data), threads=threads) for threads in (1, 2))

    assert one.digest == two.digest


_LEAST = {
    train_xgboost: "n_estimators",
    train_sklearn: "n_estimators",
    train_torch: "max_epochs",
}


def test_a_batch_of_several_pieces_is_scored_like_its_rows(data, selected):
    many = data.trips(_CHUNK + 3, seed=9)

    predictions = score(selected, Table.of(many, schema=data.schema(label=None)))

    found = predictions.frame()["score"].to_numpy()
    assert len(found) == _CHUNK + 3
    np.testing.assert_array_equal(found[-3:], load(selected).score(many.tail(3)))


def test_examples_are_scored_too(data, selected):
    examples = Examples.of(data.frames["test"], schema=data.schema())

    predictions = score(selected, examples)

    assert predictions.schema is not None
    assert predictions.schema.names == ("trip", "decided_at", "score")


def test_a_test_set_is_refused(data, selected):
    with pytest.raises(BoundaryError) as error:
        score(selected, data.test)

    assert "must be Table | Examples, got TestSet" in error.value.problem


_BUILD = "Bring it in as for training, by `build` with the same feature view."
_REFUSED = [
    pytest.param(
        {"wind": None, "wnd": Column(name="wnd", dtype="float", nullable=True, role="feature")},
        SchemaError(
            "Operator 'score': The rows lack feature 'wind', which the model was fitted on."
            " Did you mean 'wnd'?",
            remedy=_BUILD,
        ),
        id="missing",
    ),
    pytest.param(
        {"hour": Column(name="hour", dtype="string", role="feature")},
        SchemaError(
            "Operator 'score': Feature 'hour' is string in the rows, but the model was fitted on "
            "int.",
            remedy=_BUILD,
        ),
        id="text for a number",
    ),
    pytest.param(
        {"trip": Column(name="trip", dtype="string")},
        SchemaError(
            "Operator 'score': Schema 'Trips' of the rows has no column with role 'entity', so "
            "nobody could tell whose score is whose.",
            remedy='Give the column that names a row `Col(role="entity")`.',
        ),
        id="no entity",
    ),
    pytest.param(
        {"trip": Column(name="score", dtype="string", role="entity")},
        SchemaError(
            "Operator 'score': Schema 'Trips' of the rows has a column 'score' of its own.",
            remedy="Rename it; predictions add the column 'score'.",
        ),
        id="a column of that name",
    ),
    pytest.param(
        {
            "landed_at": Column(name="landed_at", dtype="timestamp", role="known_time"),
            "wind": Column(
                name="wind", dtype="float", nullable=True, role="feature", known_at="landed_at"
            ),
        },
        LeakageError(
            "Operator 'score': Feature 'wind' is known at 'landed_at', not at the decision "
            "('decided_at').",
            remedy=_BUILD,
        ),
        id="known too late",
    ),
    pytest.param(
        {"hour": Column(name="hour", dtype="int", role="label")},
        LeakageError("Operator 'score': Feature 'hour' is the label of the rows.", remedy=_BUILD),
        id="the label",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), _REFUSED)
def test_rows_that_the_model_cannot_score_are_refused(data, selected, changes, expected):
    frame = data.frames["test"]
    frame = frame.assign(wnd=frame["wind"], landed_at=frame["decided_at"], score=frame["trip"])
    if "hour" in changes and changes["hour"].dtype == "string":
        frame = frame.astype({"hour": "str"})
    rows = Table.of(frame, schema=data.schema(label=None, **changes))

    with pytest.raises(type(expected)) as error:
        score(selected, rows)

    assert str(error.value) == str(expected)


def test_the_plan_knows_the_predictions_and_finds_what_is_missing(data):
    rows = Table[Trips].of(data.frames["test"])
    wrong = Table[Misspelt].of(
        data.frames["test"]
        .rename(columns={"wind": "wnd"})
        .fillna({"wnd": 0.0, "carrier": "AA"})
        .astype({"hour": "str"})
    )

    def body() -> object:
        model = train_xgboost(data.train, data.validation)
        predicted = score(model, rows)
        assert predicted.schema is not None
        assert predicted.schema.names == ("trip", "decided_at", "score")
        score(model, wrong)
        return predicted

    plan = plan_flow("scores", body, {}, parameters={}, grants=[])

    found = [p.problem for p in plan.problems]
    assert any(
        "The rows lack feature 'wind', which the model was fitted on. Did you mean 'wnd'?" in p
        for p in found
    )
    assert any("Feature 'hour' is string in the rows" in p for p in found)
    assert len(found) == 2
