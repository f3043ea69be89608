"""This module measures on a test set what each feature is worth to a model, with intervals by days.

A feature's values are shuffled among the rows, and the loss grows by what the model lost with them.
How much is a mean over rows, whose days share their luck, so that whole days are left out in turn,
as in `operators/_intervals.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.models import Task
from operators._encoding import Rows, Vector, encode
from operators._intervals import MIN_BLOCKS, Blocks, Interval
from operators._metrics import log_losses
from operators.scoring import Scorer

_ROWS = 10_000


def importance_intervals(
    scorer: Scorer, rows: Rows, target: Vector, blocks: Blocks | None, *, confidence: float
) -> dict[str, Interval]:
    """Return {feature: {value, low, high}}: by how much the mean loss grows without it.

    The loss is the log loss of a classification and the squared error of an estimation. Nothing is
    cut off at zero: what a useless feature seems to be worth is as often below as above.

    Args:
        scorer: The model.
        rows: The test rows; 10,000 of them, drawn with a fixed seed, are used.
        target: 0 or 1, or the measured value, of all rows.
        blocks: Number of each row's day; None when the rows have no time.
        confidence: Such as 0.95.

    Returns:
        Where there is no interval, low and high are None and `reason` says why.
    """
    generator = np.random.default_rng(0)
    some = np.sort(generator.permutation(len(target))[:_ROWS])
    shuffled = generator.permutation(len(some))
    matrix, goal = encode(rows, scorer.card)[some], target[some]
    days = None if blocks is None else np.unique(blocks[some], return_inverse=True)[1]
    before = _losses(scorer.card.task, goal, scorer.scores(matrix))
    found = {}
    for position, name in enumerate(scorer.card.feature_names):
        kept = matrix[:, position].copy()
        matrix[:, position] = kept[shuffled]
        after = _losses(scorer.card.task, goal, scorer.scores(matrix))
        matrix[:, position] = kept
        found[name] = _mean_by_days(after - before, days, confidence)
    return found


def _losses(task: Task, target: Vector, score: Vector) -> Vector:
    return np.square(score - target) if task == "estimation" else log_losses(target, score)


def _mean_by_days(values: Vector, days: Any, confidence: float) -> Interval:
    """Return the mean of values with the delete-one-day jackknife's interval."""
    from scipy.stats import t  # type: ignore[import-untyped]

    value = float(values.mean())
    if days is None:
        reason = "The rows have no decision time, so there are no day blocks."
        return {"value": value, "low": None, "high": None, "reason": reason}
    counts = np.bincount(days)
    count = len(counts)
    if count < MIN_BLOCKS:
        reason = f"There are {count} day blocks; an interval needs at least {MIN_BLOCKS}."
        return {"value": value, "low": None, "high": None, "reason": reason}
    without = (values.sum() - np.bincount(days, weights=values)) / (len(values) - counts)
    error = np.sqrt((count - 1) / count * np.square(without - value).sum())
    half = float(t.ppf((1 + confidence) / 2, count - 1) * error)
    return {"value": value, "low": value - half, "high": value + half}
