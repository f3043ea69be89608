from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from operators._intervals import difference_intervals, leave_one_out, metric_intervals
from operators._metrics import metrics_of

_DAYS, _ROWS_A_DAY, _REPEATS = 30, 40, 400


def _clustered(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """These are rows whose days are good or bad, and easy or hard to tell, as a whole."""
    blocks = np.repeat(np.arange(_DAYS), _ROWS_A_DAY)
    luck, ease = draw.normal(0, 1, _DAYS)[blocks], draw.normal(1, 1, _DAYS)[blocks]
    signal = draw.normal(0, 1, len(blocks))
    chance = 1 / (1 + np.exp(1.5 - luck - ease * signal))
    target = (draw.random(len(blocks)) < chance).astype(float)
    return target, 1 / (1 + np.exp(1.5 - signal)), blocks


def _share_covered(interval: Callable[..., tuple[float, float]], truth: float) -> float:
    draw = np.random.default_rng(20130101)
    found = [interval(*_clustered(draw)) for _ in range(_REPEATS)]
    return sum(low <= truth <= high for low, high in found) / _REPEATS


def _truth(name: str) -> float:
    draw = np.random.default_rng(7)
    many = [_clustered(draw) for _ in range(1_500)]
    target, score = (np.concatenate([m[part] for m in many]) for part in (0, 1))
    return metrics_of("classification", target, score)[name]


def _by_days(name: str) -> Callable[..., tuple[float, float]]:
    def interval(target, score, blocks):
        found = metric_intervals("classification", target, score, blocks, confidence=0.95)[name]
        return found["low"], found["high"]

    return interval


def _mean_by_rows(target, score, blocks):
    losses = np.square(score - target)
    reach = 1.96 * losses.std(ddof=1) / np.sqrt(len(losses))
    return losses.mean() - reach, losses.mean() + reach


def _auc_by_rows(target, score, blocks):
    # Hanley and McNeil (1982): the usual interval, which takes rows as independent.
    value = metrics_of("classification", target, score)["auc"]
    ones, zeros = target.sum(), (1 - target).sum()
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (ones - 1) * (q1 - value**2) + (zeros - 1) * (q2 - value**2)
    reach = 1.96 * np.sqrt(variance / (ones * zeros))
    return value - reach, value + reach


@pytest.mark.parametrize(
    ("name", "by_rows"),
    [
        pytest.param("brier", _mean_by_rows, id="a mean"),
        pytest.param("auc", _auc_by_rows, id="a rank statistic"),
    ],
)
def test_intervals_over_days_cover_the_truth_as_often_as_they_say_and_those_over_rows_do_not(
    name, by_rows
):
    truth = _truth(name)

    days = _share_covered(_by_days(name), truth)
    rows = _share_covered(by_rows, truth)

    assert days == pytest.approx(0.95, abs=0.03)  # three standard errors of 400 repeats
    assert rows < 0.75


def test_leaving_a_day_out_is_computing_the_metric_without_its_rows():
    target, score, blocks = _clustered(np.random.default_rng(1))
    score = score.round(2)  # ties

    found = leave_one_out("classification", target, score, blocks)

    for block in (0, 7, _DAYS - 1):
        rest = blocks != block
        expected = metrics_of("classification", target[rest], score[rest])
        assert {n: v[block] for n, v in found.items()} == pytest.approx(
            {n: expected[n] for n in found}
        )


def test_leaving_a_day_out_of_an_estimation_is_computing_the_metric_without_its_rows():
    draw = np.random.default_rng(2)
    target, blocks = draw.normal(100, 5, 300), np.repeat(np.arange(30), 10)
    score = target + draw.normal(0, 1, 300)

    found = leave_one_out("estimation", target, score, blocks)

    rest = blocks != 11
    expected = metrics_of("estimation", target[rest], score[rest])
    assert {n: v[11] for n, v in found.items()} == pytest.approx(expected)


def test_a_mean_gets_the_interval_of_student_over_days_of_equal_size():
    from scipy.stats import t

    draw = np.random.default_rng(3)
    target, blocks = draw.normal(0, 1, 500), np.repeat(np.arange(25), 20)

    found = metric_intervals("estimation", target, np.zeros(500), blocks, confidence=0.9)["mae"]

    by_day = np.abs(target).reshape(25, 20).mean(axis=1)
    reach = t.ppf(0.95, 24) * by_day.std(ddof=1) / 5
    assert found["value"] == pytest.approx(by_day.mean())
    assert (found["low"], found["high"]) == pytest.approx(
        (by_day.mean() - reach, by_day.mean() + reach)
    )


def test_a_paired_difference_is_surer_than_the_two_values():
    draw = np.random.default_rng(4)
    target, score, blocks = _clustered(draw)

    pair = difference_intervals(
        "classification", target, (score, score * 0.9), blocks, confidence=0.95
    )
    alone = metric_intervals("classification", target, score, blocks, confidence=0.95)

    width = {n: i["high"] - i["low"] for n, i in (("pair", pair["brier"]), ("one", alone["brier"]))}
    assert width["pair"] < width["one"]
    assert "positive_rate" not in pair


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        pytest.param(
            None, "The rows have no decision time, so there are no day blocks.", id="no time"
        ),
        pytest.param(
            np.arange(200) % 19,
            "There are 19 day blocks; an interval needs at least 20.",
            id="too few days",
        ),
    ],
)
def test_without_enough_days_there_is_no_interval_but_a_reason(blocks, reason):
    draw = np.random.default_rng(5)
    target = draw.normal(0, 1, 200)

    found = metric_intervals("estimation", target, np.zeros(200), blocks, confidence=0.95)["rmse"]

    assert found == {"value": found["value"], "low": None, "high": None, "reason": reason}
    assert found["value"] > 0


def test_the_calibration_error_gets_no_interval_as_it_is_not_smooth():
    target, score, blocks = _clustered(np.random.default_rng(6))

    found = metric_intervals("classification", target, score, blocks, confidence=0.95)

    assert found["calibration_error"]["low"] is None
    assert found["calibration_error"]["reason"] == (
        "The calibration_error is not smooth, so the jackknife does not hold."
    )


def test_a_metric_that_one_day_alone_defines_has_no_interval():
    blocks = np.repeat(np.arange(20), 5)
    target = (blocks == 3).astype(float)

    found = metric_intervals("classification", target, target * 0.5, blocks, confidence=0.95)

    assert found["auc"] == {
        "value": 1.0,
        "low": None,
        "high": None,
        "reason": "Without one of the days it is not defined.",
    }
