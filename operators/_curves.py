"""This module reduces scores to curves of at most a hundred points, for plots and reports."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models import Task
from operators._encoding import Vector
from operators._metrics import ends_of_ties, equal_mass_bins

POINTS = 100
_CALIBRATION_BINS = 20


def curves_of(task: Task, target: Vector, score: Vector) -> dict[str, Any]:
    """Return the curves of a task by name, as JSON-like data.

    Args:
        task: "classification" gives roc, precision_recall (where both classes occur) and
            calibration; "estimation" gives calibration and residuals.
        target: 0 or 1, or the measured value.
        score: The probability of 1, or the estimate.
    """
    curves: dict[str, Any] = {"calibration": calibration(target, score)}
    if task == "estimation":
        share = np.linspace(0, 1, POINTS)
        curves["residuals"] = {
            "quantile": _listed(share),
            "residual": _listed(np.quantile(target - score, share)),
        }
    elif 0 < target.sum() < len(target):
        curves |= _thresholds(target, score)
    return curves


def calibration(target: Vector, score: Vector) -> dict[str, Any]:
    """Return mean score and mean target in 20 bins of equal mass, with the rows in each."""
    bins = equal_mass_bins(score, _CALIBRATION_BINS)
    rows = np.bincount(bins)
    filled = rows > 0
    return {
        "predicted": _listed(np.bincount(bins, weights=score)[filled] / rows[filled]),
        "observed": _listed(np.bincount(bins, weights=target)[filled] / rows[filled]),
        "rows": [int(n) for n in rows[filled]],
    }


def thinned(points: int) -> npt.NDArray[np.intp]:
    """Return at most `POINTS` positions, evenly over `points`, with the first and the last."""
    return np.unique(np.linspace(0, points - 1, min(points, POINTS)).round().astype(np.intp))


def _thresholds(target: Vector, score: Vector) -> dict[str, Any]:
    order = np.argsort(-score, kind="stable")
    ends = ends_of_ties(score[order])
    hits = np.cumsum(target[order])[ends]
    taken = ends + 1.0
    false_rate = np.append(0.0, (taken - hits) / (len(target) - hits[-1]))
    true_rate = np.append(0.0, hits / hits[-1])
    # Even steps along the curve, not along the rows: a rare class keeps its steep beginning.
    steps = np.linspace(0, 2, POINTS)
    picked = np.unique(np.searchsorted(false_rate + true_rate, steps).clip(max=len(ends)))
    recall = np.unique(np.searchsorted(hits, np.linspace(hits[0], hits[-1], POINTS)))
    return {
        "roc": {"false_rate": _listed(false_rate[picked]), "true_rate": _listed(true_rate[picked])},
        "precision_recall": {
            "recall": _listed(hits[recall] / hits[-1]),
            "precision": _listed(hits[recall] / taken[recall]),
            "threshold": _listed(score[order][ends][recall]),
        },
    }


def _listed(values: npt.NDArray[Any]) -> list[float]:
    return [float(v) for v in values]
