"""What a score means follows from the card: the figure, the class, an interval that holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace import TrainSet, ValidationSet
from headrace.models import ModelCard
from headrace.schemas import Column
from operators._conformal import COVERAGES, intervals_of
from operators.outputs import answer_of, outputs_of
from operators.scoring import load
from operators.train_sklearn import train_sklearn


def card(task: Any = "classification", **fields: Any) -> ModelCard:
    return ModelCard(task=task, flavor="sklearn", features=(), label="late", **fields)


def test_a_class_is_the_positive_one_from_the_threshold_on():
    late = card(classes=("on time", "late"))
    strict = card(classes=("on time", "late"), extra={"threshold": 0.8})

    assert outputs_of(late) == ("probability", "class")
    assert answer_of(late, 0.5, ("class",)) == {
        "probability": 0.5, "class": "late", "threshold": 0.5
    }  # fmt: skip
    assert answer_of(late, 0.4999, ("class",))["class"] == "on time"
    assert answer_of(strict, 0.79, ("class",)) == {
        "probability": 0.79, "class": "on time", "threshold": 0.8
    }  # fmt: skip


def test_an_answer_has_its_figure_alone_unless_more_is_wanted():
    assert answer_of(card(classes=("0", "1")), 0.25) == {"probability": 0.25}
    assert answer_of(card("estimation"), -3.5, ("interval",)) == {"estimate": -3.5}
    assert outputs_of(card("estimation")) == ("estimate",)
    assert outputs_of(card()) == ("probability",)


def test_an_interval_is_the_estimate_and_the_reach_of_the_card():
    minutes = card("estimation", extra={"intervals": {"rows": 99, "reach": {"0.9": 12.5}}})

    assert outputs_of(minutes) == ("estimate", "interval")
    assert answer_of(minutes, 3.0, ("interval",)) == {
        "estimate": 3.0, "interval": [-9.5, 15.5], "coverage": 0.9
    }  # fmt: skip


def test_the_reach_is_the_residual_of_a_rank_that_counts_the_new_row():
    found = intervals_of(np.arange(1.0, 20.0), np.zeros(19))

    # of 19 + 1 rows 90 % are 18, and 95 % are 19; 99 % would need a 20th residual
    assert found == {"rows": 19, "reach": {"0.5": 10.0, "0.8": 16.0, "0.9": 18.0, "0.95": 19.0}}


def test_nine_rows_vouch_for_nine_tenths_and_eight_do_not():
    assert "0.9" in intervals_of(np.zeros(9), np.zeros(9))["reach"]
    assert "0.9" not in intervals_of(np.zeros(8), np.zeros(8))["reach"]


def coverage_of(rows: int, of: Any, *, coverage: float, trials: int = 4_000) -> float:
    """How often a new residual, skewed and with heavy tails, lies within the reach of `rows`."""
    random = np.random.default_rng(20130701)
    held = 0
    for _ in range(trials):
        residuals = random.standard_t(2, rows + 1) + random.exponential(1, rows + 1)
        held += abs(residuals[-1]) <= of(residuals[:-1], coverage)
    return held / trials


def conformal(residuals: np.ndarray, coverage: float) -> float:
    reach = intervals_of(residuals, np.zeros(len(residuals)))["reach"][f"{coverage:g}"]
    return float(reach)


def test_intervals_hold_as_often_as_they_say_whatever_the_distribution():
    noise = 3 * np.sqrt(0.25 / 4_000)  # three standard errors at most

    for rows, coverage in [(19, 0.9), (50, 0.8), (200, 0.95), (30, 0.5)]:
        held = coverage_of(rows, conformal, coverage=coverage)
        assert coverage - noise <= held <= coverage + 1 / (rows + 1) + noise


def test_a_plain_quantile_of_few_residuals_or_of_those_of_training_would_not_hold():
    """The control: the same simulation tells what is no split conformal interval."""
    noise = 3 * np.sqrt(0.25 / 4_000)

    def plain(residuals: np.ndarray, coverage: float) -> float:
        return float(np.quantile(np.abs(residuals), coverage))

    def fitted(residuals: np.ndarray, coverage: float) -> float:
        return conformal(residuals * 0.6, coverage)  # of rows that the model was fitted on

    assert coverage_of(19, plain, coverage=0.9) < 0.9 - noise
    assert coverage_of(200, fitted, coverage=0.9) < 0.9 - noise


def test_a_trained_estimation_has_intervals_from_its_validation_rows(data):
    schema = data.schema(label=Column(name="label", dtype="float", role="label"))
    train, validation, later = (
        with_minutes(data.trips(1_000, seed=seed), seed=seed) for seed in (11, 12, 13)
    )
    model = train_sklearn(
        TrainSet.of(train, schema=schema),
        ValidationSet.of(validation, schema=schema),
        task="estimation",
        estimator="ridge",
    )

    reach = model.card.extra["intervals"]["reach"]

    off = np.abs(later["label"].to_numpy() - load(model).score(later))
    assert list(reach) == [f"{coverage:g}" for coverage in COVERAGES]
    assert model.card.extra["intervals"]["rows"] == 1_000
    assert [np.mean(off <= reach[f"{c:g}"]) for c in COVERAGES] == pytest.approx(
        COVERAGES, abs=0.05
    )


def with_minutes(frame: Any, *, seed: int) -> Any:
    noise = np.random.default_rng(seed).normal(0, 3, len(frame))
    return frame.assign(label=4 * frame["wind"].fillna(0) + frame["hour"] + noise)
