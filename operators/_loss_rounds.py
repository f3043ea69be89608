"""This module decides for losses what `_label_stopping` decides for accuracies: does a loop end?

The curve is the same, a floor and a power of the labels, fitted to mean losses in units of the
largest one; what else is possible is drawn from normal distributions of the standard errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.errors import DataError
from operators._label_stopping import Stop, budget_stop
from operators._learning_curve import LEAST_ROUNDS, LearningCurve
from operators._power_law import fitted
from operators._proportions import Estimate

_DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class LossRound:
    """This is what a round's model loses on the random slice.

    Args:
        labels: Labels that the model was fitted on.
        judged: Items of the random slice.
        mean: The mean loss, lower where it is better.
        error: Its standard error; None where nobody knows.
        proven: What the metric is proven to be, all looks counted; None where nothing is.
        metric: Name, lower_is_better and unit of the metric.
    """

    labels: int
    judged: int
    mean: float
    error: float | None
    proven: float | None
    metric: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class LossCurve:
    """This is the mean loss by the number of labels, as far as rounds tell.

    Args:
        curve: The curve of the loss as a share of `scale`.
        scale: That, in the unit of the loss.
    """

    curve: LearningCurve
    scale: float

    @property
    def known(self) -> bool:
        """Whether there are rounds enough to tell."""
        return self.curve.known

    @property
    def why(self) -> str:
        """Why it is not known; empty where it is."""
        return self.curve.why

    def gain(self, labels: int, more: int) -> Estimate | None:
        """Return by how much the loss would fall with `more` labels; None when not known."""
        found = self.curve.gain(labels, more)
        if found is None:
            return None
        value, low, high = (self.scale * each for each in (found.value, found.low, found.high))
        return Estimate(value=value, low=low, high=high)

    def document(self) -> dict[str, Any]:
        """Return it as JSON-like data: the fit in the unit of the loss, or why there is none."""
        found = self.curve.document()
        if not found["known"]:
            return found
        return found | {name: self.scale * found[name] for name in ("floor", "height")}


def loss_round(number: int, document: Mapping[str, Any]) -> LossRound:
    """Return a round of the report of `judge_losses`.

    Raises:
        DataError: It is none.
    """
    try:
        found = LossRound(
            labels=int(document["labels"]),
            judged=int(document["judged"]),
            mean=float(document["loss"]["mean"]),
            error=None if (error := document["loss"]["error"]) is None else float(error),
            proven=document["proven"],
            metric=document["metric"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The report of round {number + 1:,} says nothing of a loss: {error}.",
            remedy="Give the reports of `judge_losses`.",
        ) from error
    return found


def loss_curve(rounds: Sequence[LossRound], *, confidence: float = 0.8, seed: int = 0) -> LossCurve:
    """Fit the curve of rounds; see `learning_curve`."""
    sizes = sorted({each.labels for each in rounds})
    sure = [each.error for each in rounds if each.error is not None]
    known = len(sizes) >= LEAST_ROUNDS and len(sure) == len(rounds)
    why = f"{len(sizes)} rounds of different numbers of labels; a curve needs {LEAST_ROUNDS}."
    if len(sizes) >= LEAST_ROUNDS:
        why = "A model errs the same on every item, which does not say how sure its error is."
    fits, scale = np.empty((0, 3)), 1.0
    if known:
        scale = max(each.mean + 3 * error for each, error in zip(rounds, sure, strict=True)) or 1.0
        labels = np.array([each.labels for each in rounds], dtype=np.float64)
        means = np.array([each.mean for each in rounds]) / scale
        errors = np.array(sure) / scale
        weights = 1 / errors**2
        drawn = np.random.default_rng(seed).normal(means, errors, size=(_DRAWS, len(means)))
        point = fitted(labels, means[None, :], weights)
        fits = np.concatenate([point, fitted(labels, np.maximum(drawn, 0.0), weights)])
    curve = LearningCurve(
        known=known,
        why="" if known else why,
        labels=(sizes[0], sizes[-1]) if sizes else (0, 0),
        fits=fits,
        confidence=confidence,
    )
    return LossCurve(curve=curve, scale=scale)


def loss_stop(
    rounds: Sequence[LossRound],
    *,
    next_labels: int | None = None,
    target: float | None = None,
    spent_seconds: float = 0.0,
    next_seconds: float | None = None,
    budget_seconds: float | None = None,
    least_gain: float = 0.0,
    patience: int = 2,
    left: int | None = None,
) -> Stop | None:
    """Return why to stop, or None to go on; see `stop_reason`.

    Args:
        rounds: The rounds so far, oldest first.
        next_labels: Labels to learn from that the next batch would bring.
        target: The metric that is good enough, in its own direction.
        spent_seconds: As there.
        next_seconds: As there.
        budget_seconds: As there.
        least_gain: By how much the next batch should lower the loss; 0 never stops for it.
        patience: As there.
        left: As there.
    """
    if target is not None and rounds and rounds[-1].proven is not None:
        last, proven = rounds[-1], float(rounds[-1].proven)
        lower = last.metric["lower_is_better"]
        if proven <= target if lower else proven >= target:
            unit = f" {last.metric['unit']}" if last.metric["unit"] else ""
            return Stop(
                reason="target",
                why=f"The {last.metric['name']} on {last.judged:,} random items is at "
                f"{'most' if lower else 'least'} {proven:.4g}{unit}; the target is {target:g}"
                f"{unit}.",
            )
    return budget_stop(left, spent_seconds, next_seconds, budget_seconds) or _no_gain(
        rounds, next_labels, least_gain, patience
    )


def _no_gain(
    rounds: Sequence[LossRound], more: int | None, least: float, patience: int
) -> Stop | None:
    if more is None or least <= 0:
        return None
    most = []
    for end in range(len(rounds) - patience + 1, len(rounds) + 1):
        curve = loss_curve(rounds[: max(end, 0)])
        gain = curve.gain(rounds[end - 1].labels, more) if curve.known else None
        if gain is None or gain.high >= least:
            return None
        most.append(gain.high)
    name, unit = rounds[-1].metric["name"], rounds[-1].metric["unit"]
    said = f" {unit}" if unit else ""
    return Stop(
        reason="no_gain",
        why=f"{more:,} more labels better the {name} by at most {max(most):.4g}{said}, {patience} "
        f"rounds in a row; {least:g}{said} are asked for.",
    )
