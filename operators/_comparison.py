"""This module says how candidates compare: to each other, and to the answer without features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.artifacts import Model
from headrace.models import ModelCard
from operators._baseline import Scored
from operators._encoding import Vector
from operators._intervals import Interval, difference_intervals, metric_intervals
from operators._metrics import HIGHER_IS_BETTER, metrics_of


def name_of(card: ModelCard) -> str:
    """Return what a candidate is called in tables: its flavor, and its estimator if it has one."""
    estimator = card.parameters.get("estimator")
    return card.flavor if estimator is None else f"{card.flavor} {estimator}"


def trained_elsewhere(card: ModelCard) -> dict[str, str]:
    """Return the mark of a model that was trained elsewhere, for reports; empty for others."""
    if not card.elsewhere:
        return {}
    return {
        "trained": "elsewhere",
        "leakage": "It was trained elsewhere: nobody can say whether it saw these rows.",
    }


def loss_by(found: Scored, metric: str) -> float:
    """Return the metric turned so that lower is better."""
    value = metrics_of(found.card.task, found.target, found.score)[metric]
    if value is None:  # r2 of a label without spread
        return float("inf")
    return -value if metric in HIGHER_IS_BETTER else value


def against_baseline(found: Scored, metric: str, confidence: float) -> dict[str, Any]:
    """Return whether a model beats the prior of the training labels, and the words for it."""
    gap = _difference(found, found.baseline, metric, confidence)
    gain, surely = _gains(gap, metric)
    name = name_of(found.card)
    if gain is None or gain <= 0:
        reason = f"The {metric} of {name} is no better than that of the prior alone."
    elif surely is None:
        reason = f"The {metric} of {name} is better by {gain:.4g} than that of the prior alone; "
        reason += f"there is no interval: {gap['reason']}"
    elif surely <= 0:
        reason = f"The {metric} of {name} is better by {gain:.4g} than that of the prior alone, "
        reason += f"but by days that may be chance ({confidence:.0%} interval from {surely:.4g})."
    else:
        reason = f"The {metric} of {name} is better by {gain:.4g} than that of the prior alone "
        reason += f"(at least {surely:.4g} at {confidence:.0%} confidence, by days)."
    passed = gain is not None and gain > 0 and (surely is None or surely > 0)
    return {"passed": passed, "reason": reason, "against_baseline": gap}


def _difference(found: Scored, other: Vector, metric: str, confidence: float) -> Interval:
    return difference_intervals(
        found.card.task, found.target, (found.score, other), found.blocks, confidence=confidence
    )[metric]


def _gains(gap: Interval, metric: str) -> tuple[float | None, float | None]:
    """Return by how much a difference is for the better: its value, and at least how much."""
    if metric in HIGHER_IS_BETTER:
        return gap["value"], gap["low"]
    value, high = gap["value"], gap["high"]
    return None if value is None else -value, None if high is None else -high


def candidate_rows(
    candidates: Sequence[Model],
    scores: Sequence[Scored],
    sizes: Sequence[int],
    *,
    chosen: int,
    metric: str,
    confidence: float,
) -> list[dict[str, Any]]:
    """Return one row of the report a candidate: metrics, distance to the best, and why."""
    losses = [loss_by(found, metric) for found in scores]
    best = int(np.argmin(losses))
    rows = []
    for i, (model, found) in enumerate(zip(candidates, scores, strict=True)):
        gap = losses[i] - losses[best]
        if i == chosen == best:
            why = f"It has the best {metric}."
        elif i == chosen:
            why = (
                f"Its {metric} is within the tolerance of the best ({gap:.4g}), and it is smaller."
            )
        elif i == best:
            why = f"It has the best {metric}, but the chosen one is as good within the tolerance."
        else:
            why = f"Its {metric} is {gap:.4g} from the best."
        rows.append(
            {
                "name": name_of(found.card),
                "flavor": found.card.flavor,
                "digest": model.digest,
                "bytes": sizes[i],
                "metrics": metric_intervals(
                    found.card.task, found.target, found.score, found.blocks, confidence=confidence
                ),
                "difference_to_best": _difference(found, scores[best].score, metric, confidence),
                "chosen": i == chosen,
                "why": why,
                **trained_elsewhere(found.card),
            }
        )
    return rows
