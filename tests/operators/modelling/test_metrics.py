from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from operators._curves import curves_of
from operators._metrics import auc, average_precision, calibration_error, metrics_of


@st.composite
def _scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    # Few distinct scores, so that ties are the rule.
    rows = draw(st.integers(2, 60))
    target = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=rows, max_size=rows))
    target[0], target[1] = 0.0, 1.0
    score = draw(
        st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), min_size=rows, max_size=rows)
    )
    return np.array(target), np.array(score)


@settings(max_examples=150, deadline=None)
@given(_scored())
def test_the_metrics_of_a_classification_are_those_of_scikit_learn(pair):
    target, score = pair

    found = metrics_of("classification", target, score)

    assert found["auc"] == pytest.approx(reference.roc_auc_score(target, score))
    assert found["log_loss"] == pytest.approx(reference.log_loss(target, score, labels=[0, 1]))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(target, score))
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(target, score)
    )
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(target, score >= 0.5))
    assert found["positive_rate"] == pytest.approx(target.mean())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=40))
def test_the_metrics_of_an_estimation_are_those_of_scikit_learn(pairs):
    target, score = np.array(pairs).T
    target[0] = target[1] + 1.0  # r2 needs some spread

    found = metrics_of("estimation", target, score)

    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(target, score))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(target, score))
    assert found["r2"] == pytest.approx(reference.r2_score(target, score), rel=1e-6, abs=1e-9)


def test_what_needs_two_outcomes_is_none_where_there_is_one():
    found = metrics_of("classification", np.zeros(3), np.array([0.1, 0.2, 0.3]))

    assert found["auc"] is None
    assert found["average_precision"] is None
    assert metrics_of("estimation", np.ones(3), np.zeros(3))["r2"] is None


def test_the_calibration_error_is_the_distance_of_score_and_share_by_bins_of_equal_mass():
    # Two groups of 30: told 0.2 but 0.5 happen; told 0.8 and 0.8 happen.
    score = np.repeat([0.2, 0.8], 30)
    target = np.concatenate([np.tile([0.0, 1.0], 15), np.tile([1.0, 1.0, 1.0, 1.0, 0.0], 6)])

    found = calibration_error(target, score)

    assert found == pytest.approx((0.3 + 0.0) / 2)


def test_a_hundred_thousand_rows_take_milliseconds():
    draw = np.random.default_rng(0)
    score = draw.random(100_000)
    target = (draw.random(100_000) < score).astype(float)

    before = time.process_time()
    auc(target, score)
    average_precision(target, score)
    seconds = time.process_time() - before

    assert seconds < 0.5


def test_curves_have_at_most_a_hundred_points_and_the_area_of_the_metric():
    draw = np.random.default_rng(0)
    score = draw.random(20_000)
    target = (draw.random(20_000) < score**2).astype(float)

    curves = curves_of("classification", target, score)

    roc, precision = curves["roc"], curves["precision_recall"]
    assert (
        max(len(roc["true_rate"]), len(precision["recall"]), len(curves["calibration"]["rows"]))
        <= 100
    )
    assert (roc["false_rate"][0], roc["true_rate"][0]) == (0.0, 0.0)
    assert (roc["false_rate"][-1], roc["true_rate"][-1]) == (1.0, 1.0)
    area = np.trapezoid(roc["true_rate"], roc["false_rate"])
    assert area == pytest.approx(auc(target, score), abs=0.002)
    assert np.all(np.diff(precision["recall"]) > 0)
    assert precision["recall"][-1] == 1.0
    assert target.mean() <= precision["precision"][-1] < precision["precision"][0]
    assert sum(curves["calibration"]["rows"]) == 20_000


def test_an_estimation_has_a_calibration_curve_and_quantiles_of_its_residuals():
    target = np.arange(200.0)

    curves = curves_of("estimation", target, target - 1.0)

    assert set(curves) == {"calibration", "residuals"}
    assert set(curves["residuals"]["residual"]) == {1.0}
    assert np.subtract(curves["calibration"]["observed"], curves["calibration"]["predicted"]) == (
        pytest.approx(np.ones(20))
    )
