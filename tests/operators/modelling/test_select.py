from __future__ import annotations

import numpy as np
import pytest

from headrace import SelectedModel, TrainSet, ValidationSet
from headrace.errors import DefinitionError, ParameterError
from operators.scoring import size_of
from operators.select import select
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


@pytest.fixture(scope="module")
def candidates(data):
    return [
        train_xgboost(data.train, data.validation, learning_rate=0.05),
        train_sklearn(data.train, data.validation, estimator="logistic_regression"),
        train_xgboost(data.train, data.validation, n_estimators=2),
    ]


def test_the_best_on_validation_is_selected_and_the_report_says_why(data, candidates):
    selected, report = select(candidates, data.validation)

    losses = [model.card.metrics["log_loss"] for model in candidates]
    best = int(np.argmin(losses))
    rows = report.document["candidates"]
    assert isinstance(selected, SelectedModel)
    assert selected.digest == candidates[best].digest
    assert [row["name"] for row in rows] == ["xgboost", "sklearn logistic_regression", "xgboost"]
    assert [row["chosen"] for row in rows] == [i == best for i in range(3)]
    assert [row["metrics"]["log_loss"]["value"] for row in rows] == pytest.approx(losses)
    assert [row["bytes"] for row in rows] == [size_of(model) for model in candidates]
    assert rows[best]["why"] == "It has the best log_loss."
    assert rows[2]["why"] == f"Its log_loss is {losses[2] - losses[best]:.4g} from the best."
    assert report.passed
    assert report.document["blocks"] == 30
    gap = report.document["against_baseline"]
    assert gap["low"] < gap["value"] < gap["high"] < 0


def test_within_the_tolerance_the_smallest_is_selected_unless_quality_is_preferred(
    data, candidates
):
    small, report = select(candidates, data.validation, tolerance=1.0)
    best, _ = select(candidates, data.validation, tolerance=1.0, prefer="quality")

    sizes = [size_of(model) for model in candidates]
    losses = [model.card.metrics["log_loss"] for model in candidates]
    assert small.digest == candidates[int(np.argmin(sizes))].digest
    assert best.digest == candidates[int(np.argmin(losses))].digest
    assert report.document["tolerance"] == 1.0


def test_a_higher_auc_is_better(data, candidates):
    selected, _ = select(candidates, data.validation, metric="auc")

    best = int(np.argmax([model.card.metrics["auc"] for model in candidates]))
    assert selected.digest == candidates[best].digest


def test_a_model_that_knows_no_more_than_the_prior_does_not_pass(data):
    draw = np.random.default_rng(0)
    schema = data.schema()
    train, validation = (
        data.frames[n].assign(label=draw.integers(0, 2, len(data.frames[n])))
        for n in ("train", "validation")
    )
    model = train_xgboost(
        TrainSet.of(train, schema=schema), ValidationSet.of(validation, schema=schema)
    )

    _, report = select([model], ValidationSet.of(validation, schema=schema), metric="auc")

    assert not report.passed
    assert report.document["reason"].startswith("The auc of xgboost is")


def test_without_twenty_days_the_report_says_that_there_is_no_interval(data, candidates):
    frame = data.frames["validation"]
    week = frame[frame["decided_at"] < frame["decided_at"].min() + np.timedelta64(7, "D")]

    _, report = select(candidates, ValidationSet.of(week, schema=data.schema()))

    gain = -report.document["against_baseline"]["value"]
    assert report.passed
    assert report.document["reason"] == (
        f"The log_loss of {report.document['chosen']} is better by {gain:.4g} than that of the "
        "prior alone; there is no interval: There are 8 day blocks; an interval needs at least 20."
    )


def test_candidates_of_other_features_are_not_compared(data, candidates):
    schema = data.schema(weekend=None)
    other = train_xgboost(
        TrainSet.of(data.frames["train"], schema=schema),
        ValidationSet.of(data.frames["validation"], schema=schema),
        n_estimators=2,
    )

    with pytest.raises(DefinitionError) as error:
        select([candidates[1], other], data.validation)

    assert str(error.value) == (
        "Candidate 'xgboost' has other features (weekend) than candidate "
        "'sklearn logistic_regression'.\n"
        "  Fix: Compare models that were fitted on the same examples."
    )


def test_no_candidate_is_refused(data):
    with pytest.raises(DefinitionError) as error:
        select([], data.validation)

    assert str(error.value) == (
        "Operator 'select' was given no candidate.\n  Fix: Give it at least one model."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param(
            {"metric": "rmse"},
            "Operator 'select': 'rmse' is no metric of classification.\n  Fix: Use one of auc, "
            "log_loss, brier, average_precision, accuracy, calibration_error, positive_rate.",
            id="a metric of the other task",
        ),
        pytest.param(
            {"timezone": "America/NewYork"},
            "Operator 'select': There is no time zone 'America/NewYork'. Did you mean "
            "'America/New_York', 'America/Nuuk' or 'America/Nome'?\n"
            "  Fix: Use a name of the IANA database, such as 'America/New_York'.",
            id="an unknown time zone",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_refused(data, candidates, parameters, message):
    with pytest.raises(ParameterError) as error:
        select(candidates, data.validation, **parameters)

    assert str(error.value) == message
