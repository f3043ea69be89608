from __future__ import annotations

import numpy as np
import pytest

from operators._intervals import difference_intervals, leave_one_out, metric_intervals
from operators._metrics import metrics_of

_DAYS, _ROWS_A_DAY = 30, 40


def _clustered(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """These are rows whose days are good or bad as a whole, as a storm makes them."""
    blocks = np.repeat(np.arange(_DAYS), _ROWS_A_DAY)
    luck = draw.normal(0, 1.0, _DAYS)[blocks]
    signal = draw.normal(0, 1, len(blocks))
    chance = 1 / (1 + np.exp(-(signal + luck)))
    target = (draw.random(len(blocks)) < chance).astype(float)
    return target, 1 / (1 + np.exp(-signal)), blocks


def _covered(name: str, truth: float, *, by_rows: bool, repeats: int = 400) -> float:
    draw = np.random.default_rng(20130101)
    hits = 0
    for _ in range(repeats):
        target, score, blocks = _clustered(draw)
        units = np.arange(len(target)) if by_rows else blocks
        if name == "auc" and by_rows:
            low, high = _naive_auc(target, score)
        else:
            found = metric_intervals("classification", target, score, units, confidence=0.95)[name]
            low, high = found["low"], found["high"]
        hits += low <= truth <= high
    return hits / repeats


def _naive_auc(target: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    # Hanley and McNeil (1982): the usual interval, which takes rows as independent.
    value = metrics_of("classification", target, score)["auc"]
    ones, zeros = target.sum(), (1 - target).sum()
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (ones - 1) * (q1 - value**2) + (zeros - 1) * (q2 - value**2)
    reach = 1.96 * np.sqrt(variance / (ones * zeros))
    return value - reach, value + reach


def _truth(name: str) -> float:
    draw = np.random.default_rng(7)
    many = [_clustered(draw) for _ in range(1_500)]
    target, score = np.concatenate([m[0] for m in many]), np.concatenate([m[1] for m in many])
    return metrics_of("classification", target, score)[name]


def test_intervals_over_days_cover_the_truth_as_often_as_they_say_and_those_over_rows_do_not():
    # 400 repeats: a true 95% shows between 92.8% and 97.2% nineteen times in twenty.
    truth = _truth("brier")

    by_days = _covered("brier", truth, by_rows=False)
    by_rows = _covered_mean_by_rows(truth)

    assert 0.925 <= by_days <= 0.985
    assert by_rows < 0.75


def _covered_mean_by_rows(truth: float) -> float:
    draw = np.random.default_rng(20130101)
    hits = 0
    for _ in range(400):
        target, score, _ = _clustered(draw)
        losses = np.square(score - target)
        reach = 1.96 * losses.std(ddof=1) / np.sqrt(len(losses))
        hits += abs(losses.mean() - truth) <= reach
    return hits / 400


def test_the_interval_of_the_auc_covers_the_truth_though_it_is_no_mean():
    truth = _truth("auc")

    by_days = _covered("auc", truth, by_rows=False)

    assert 0.925 <= by_days <= 0.985


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
