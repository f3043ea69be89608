"""This module computes the losses of scores, and says which scores and outcomes a metric takes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from serving.rule import Rule

Flags: TypeAlias = npt.NDArray[np.bool_]
Vector: TypeAlias = npt.NDArray[np.float64]


def losses(outcome: Vector, score: Vector, rule: Rule) -> Vector:
    """Return the loss of each score under a rule's metric, at most its clip.

    Of the metric "outcome" it is the outcome itself, whatever the score. Metrics of ranks have no
    loss of a single score.

    Args:
        outcome: What became of each decision; NaN gives NaN.
        score: What a model said, likewise.
        rule: Its metric, and the clip.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if rule.metric == "outcome":
            each = outcome
        elif rule.metric == "log_loss":
            each = -np.log(np.where(outcome == 1, score, 1 - score))
        elif rule.metric == "mae":
            each = np.abs(outcome - score)
        elif rule.metric == "pinball":
            each = _pinball(outcome - score, rule.quantile or 0.5)
        else:  # the Brier score is the squared error of a probability
            each = (outcome - score) ** 2
    bound = rule.largest_loss
    return each if bound is None else np.minimum(each, bound)


def takes_score(score: Vector, rule: Rule) -> Flags:
    """Return which scores the metric can take."""
    if rule.is_classification:
        return (score >= 0) & (score <= 1)
    return np.isfinite(score)


def takes_outcome(outcome: Vector, rule: Rule) -> Flags:
    """Return which outcomes the metric can take."""
    if rule.is_classification:
        return np.isin(outcome, (0.0, 1.0))
    if rule.metric == "ndcg":
        return np.isfinite(outcome) & (outcome >= 0)
    return np.isfinite(outcome)


def _pinball(missed: Vector, quantile: float) -> Vector:
    """Return the loss of an estimate of a quantile, by how far the outcome is above it.

    Koenker and Bassett, "Regression quantiles" (Econometrica 46, 1978).
    """
    result: Vector = np.maximum(quantile * missed, (quantile - 1) * missed)
    return result
