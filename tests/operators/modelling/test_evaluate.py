from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from headrace import SelectedModel, TestSet
from headrace.errors import BoundaryError, DataError, ParameterError
from operators.evaluate import evaluate
from operators.scoring import load
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


@pytest.fixture(scope="module")
def selected(data):
    return SelectedModel.chosen(train_xgboost(data.train, data.validation))


def test_the_evaluation_has_metrics_with_intervals_and_differences_to_the_baseline(data, selected):
    evaluation = evaluate(selected, data.test, slices=["carrier"]).document

    frame = data.frames["test"]
    score = load(selected).score(frame)
    prior = selected.card.extra["prior"]
    auc, loss = evaluation["metrics"]["auc"], evaluation["metrics"]["log_loss"]
    assert (evaluation["task"], evaluation["on"]) == ("classification", "test")
    assert (evaluation["rows"], evaluation["blocks"]) == (2_000, 40)
    assert evaluation["model"] == selected.digest
    assert evaluation["set"]["digest"] == data.test.digest
    assert auc["value"] == pytest.approx(roc_auc_score(frame["label"], score))
    assert auc["low"] < auc["value"] < auc["high"] <= 1
    assert loss["value"] == pytest.approx(log_loss(frame["label"], score))
    assert evaluation["baseline"]["auc"] == 0.5
    assert evaluation["baseline"]["log_loss"] == pytest.approx(
        log_loss(frame["label"], np.full(2_000, prior))
    )
    difference = evaluation["differences"]["log_loss"]
    assert difference["value"] == pytest.approx(loss["value"] - evaluation["baseline"]["log_loss"])
    assert difference["high"] < 0
    assert sum(evaluation["calibration"]["rows"]) == 2_000
    assert set(evaluation["curves"]) == {"roc", "precision_recall"}


def test_each_feature_has_the_growth_of_the_loss_when_its_values_are_shuffled(data, selected):
    importance = evaluate(selected, data.test).document["importance"]

    wind, weekend = importance["wind"], importance["weekend"]
    assert set(importance) == {"wind", "hour", "carrier", "weekend"}
    assert max(importance, key=lambda name: importance[name]["value"]) == "wind"
    assert 0 < wind["low"] < wind["value"] < wind["high"]
    assert weekend["low"] < 0 < weekend["high"]  # it tells nothing of these trips


def test_slices_have_rows_and_intervals_of_their_own(data, selected):
    evaluation = evaluate(selected, data.test, slices=["carrier", "weekend"]).document

    frame = data.frames["test"]
    named = {(s["column"], s["value"]): s for s in evaluation["slices"]}
    united = frame[frame["carrier"] == "UA"]
    found = named["carrier", "UA"]
    assert list(named) == [
        ("carrier", "AA"),
        ("carrier", "B6"),
        ("carrier", "UA"),
        ("carrier", None),
        ("weekend", "False"),
        ("weekend", "True"),
    ]
    assert found["rows"] == len(united)
    assert found["metrics"]["auc"]["value"] == pytest.approx(
        roc_auc_score(united["label"], load(selected).score(united))
    )
    assert found["metrics"]["auc"]["low"] < found["metrics"]["auc"]["value"]
    assert sum(s["rows"] for s in evaluation["slices"] if s["column"] == "carrier") == 2_000


def test_an_evaluation_is_the_same_each_time(data, selected):
    first = evaluate(selected, data.test, slices=["carrier"])
    second = evaluate(selected, data.test, slices=["carrier"])

    assert second.digest == first.digest
    json.dumps(first.document, allow_nan=False)


def test_days_begin_where_the_time_zone_says(data, selected):
    frame = data.frames["test"]

    found = evaluate(selected, data.test, timezone="America/New_York").document

    local = frame["decided_at"].dt.tz_convert("America/New_York").dt.date
    assert found["blocks"] == local.nunique() == 41


def test_an_estimation_is_measured_too(split):
    from sklearn.datasets import load_diabetes

    matrix, label = load_diabetes(return_X_y=True)
    train, validation, test = split(matrix, label.astype(float), "float")
    model = SelectedModel.chosen(
        train_sklearn(train, validation, task="estimation", estimator="ridge")
    )

    found = evaluate(model, test).document

    target = test.frame()["label"].to_numpy()
    assert found["metrics"]["mae"] == {
        "value": pytest.approx(np.abs(load(model).score(test.frame()) - target).mean()),
        "low": None,
        "high": None,
        "reason": "The rows have no decision time, so there are no day blocks.",
    }
    assert found["blocks"] is None
    assert found["baseline"]["rmse"] > found["metrics"]["rmse"]["value"]


def test_only_the_selected_model_meets_the_test_set(data, selected):
    plain = train_xgboost(data.train, data.validation, n_estimators=1)

    with pytest.raises(BoundaryError) as not_selected:
        evaluate(plain, data.test)
    with pytest.raises(BoundaryError) as not_test:
        evaluate(selected, data.validation)

    assert str(not_selected.value) == (
        "Input 'model' of operator 'evaluate' must be SelectedModel, got Model.\n"
        "  Fix: Pass an artifact of the kind that the operator declares."
    )
    assert str(not_test.value) == (
        "Input 'test' of operator 'evaluate' must be TestSet, got ValidationSet.\n"
        "  Fix: Pass an artifact of the kind that the operator declares."
    )


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        pytest.param(
            ["carier"],
            "Operator 'evaluate': There is no column 'carier'. Did you mean 'carrier'? It is to "
            "slice the test set.\n"
            "  Fix: Slice by a text, boolean or integer column of the test set.",
            id="an unknown column",
        ),
        pytest.param(
            ["wind"],
            "Operator 'evaluate': Column 'wind' is float; slices need few values.\n"
            "  Fix: Slice by a text, boolean or integer column of the test set.",
            id="a measured column",
        ),
    ],
)
def test_slices_that_cannot_be_are_refused(data, selected, slices, message):
    with pytest.raises(ParameterError) as error:
        evaluate(selected, data.test, slices=slices)

    assert str(error.value) == message


def test_a_slice_of_too_many_values_is_refused(data, selected):
    with pytest.raises(DataError) as error:
        evaluate(selected, data.test, slices=["trip"])

    assert str(error.value) == (
        "Slice column 'trip' has 2,000 values; at most 50 are shown.\n"
        "  Fix: Slice by a column with fewer values, such as a group of them."
    )


def test_a_test_set_of_one_class_has_no_auc_but_a_reason(data, selected):
    quiet = TestSet.of(data.frames["test"].assign(label=0), schema=data.schema())

    found = evaluate(selected, quiet).document

    assert found["metrics"]["auc"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "It is not defined: the rows hold one outcome only.",
    }
    assert found["metrics"]["log_loss"]["low"] is not None


def test_an_empty_test_set_is_refused(data, selected):
    empty = TestSet.of(data.frames["test"].head(0), schema=data.schema())

    with pytest.raises(DataError) as error:
        evaluate(selected, empty)

    assert str(error.value) == (
        "The test set is empty.\n"
        "  Fix: Look at the filter or the split that made it; it must leave rows."
    )
