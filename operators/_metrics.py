"""This module computes the standard metrics of a task, in numpy, each in milliseconds on 100k rows.

Targets are 0 and 1 for classification and scores the probability of 1; every row counts once.
"""

from __future__ import annotations

import numpy as np

from headrace.models import Task
from operators._encoding import Vector

CLASSIFICATION = (
    "auc",
    "log_loss",
    "brier",
    "average_precision",
    "accuracy",
    "calibration_error",
    "positive_rate",
)
ESTIMATION = ("rmse", "mae", "r2")
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "accuracy", "r2"})
# The smallest step below 1 in double precision: what scikit-learn clips probabilities to.
_EPSILON = float(np.finfo(np.float64).eps)
_CALIBRATION_BINS = 15


def metrics_of(task: Task, target: Vector, score: Vector) -> dict[str, float | None]:
    """Return every standard metric of a task by name, None where it is not defined.

    Args:
        task: "classification" or "estimation".
        target: 0 or 1, or the measured value; one a row, no nulls, at least one row.
        score: The probability of 1, or the estimate.
    """
    if task == "estimation":
        error = score - target
        spread = float(np.square(target - target.mean()).sum())
        squared = float(np.square(error).sum())
        return {
            "rmse": float(np.sqrt(squared / len(target))),
            "mae": float(np.abs(error).mean()),
            "r2": 1.0 - squared / spread if spread > 0 else None,
        }
    both = 0 < target.sum() < len(target)
    return {
        "auc": auc(target, score) if both else None,
        "log_loss": float(log_losses(target, score).mean()),
        "brier": float(np.square(score - target).mean()),
        "average_precision": average_precision(target, score) if both else None,
        "accuracy": float(((score >= 0.5) == (target == 1)).mean()),
        "calibration_error": calibration_error(target, score),
        "positive_rate": float(target.mean()),
    }


def log_losses(target: Vector, score: Vector) -> Vector:
    """Return minus the log of the probability given to what happened, one a row, in nats."""
    clipped = np.clip(score, _EPSILON, 1 - _EPSILON)
    losses: Vector = -np.where(target == 1, np.log(clipped), np.log1p(-clipped))
    return losses


def auc(target: Vector, score: Vector) -> float:
    """Return the share of (1, 0) pairs that the score orders rightly; a tie counts half."""
    wins = wins_of_positives(target, score)
    positives = float(target.sum())
    return float(wins.sum() / (positives * (len(target) - positives)))


def wins_of_positives(target: Vector, score: Vector) -> Vector:
    """Return for each 1, in row order, how many 0s score below it; a tie counts half."""
    negatives = np.sort(score[target == 0])
    positives = score[target == 1]
    below = np.searchsorted(negatives, positives, side="left")
    wins: Vector = (below + np.searchsorted(negatives, positives, side="right")) / 2.0
    return wins


def average_precision(target: Vector, score: Vector) -> float:
    """Return the mean of precision over the recall gained, rows of one score taken together."""
    order = np.argsort(-score, kind="stable")
    return sorted_average_precision(target[order], ends_of_ties(score[order]))


def ends_of_ties(ordered: Vector) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the position of the last row of each run of equal scores, in sorted scores."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1])
    return np.append(changes, len(ordered) - 1)


def sorted_average_precision(
    target: Vector,
    ends: np.ndarray[tuple[int], np.dtype[np.intp]],
    weight: Vector | None = None,
) -> float:
    """Return the average precision of rows that are sorted by falling score; NaN without a 1.

    Args:
        target: 0 or 1, sorted.
        ends: From `ends_of_ties`.
        weight: How often each row counts; once when None.
    """
    hits = np.cumsum(target if weight is None else target * weight)[ends]
    taken = (ends + 1.0) if weight is None else np.cumsum(weight)[ends]
    if hits[-1] == 0:
        return float("nan")
    gained = np.diff(hits, prepend=0.0)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    return float((gained * precision).sum() / hits[-1])


def equal_mass_bins(score: Vector, bins: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return for each row its bin of about equally many rows, by score; equal scores share one."""
    rank = np.searchsorted(np.sort(score), score, side="left")
    return rank * min(bins, len(score)) // len(score)


def calibration_error(target: Vector, score: Vector) -> float:
    """Return the mean distance of score and share of 1s over 15 bins of equal mass (ECE)."""
    bins = equal_mass_bins(score, _CALIBRATION_BINS)
    return float(np.abs(np.bincount(bins, weights=score - target)).sum() / len(target))
