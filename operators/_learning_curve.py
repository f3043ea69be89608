"""This module fits how a model's error falls with labels, and says what more labels would bring.

The error is taken as a + b * n ** -c (a, b at least 0): a floor, and what falls as a power of the
labels (Cortes et al., "Learning curves: asymptotic values and rate of convergence", NIPS 1993). The
interval comes of what the rounds' counts leave possible: errors are drawn from the Beta
distributions of these counts (Jeffreys), and each draw is fitted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from operators._power_law import errors_of, fitted
from operators._proportions import Estimate

Floats = npt.NDArray[np.float64]
LEAST_ROUNDS = 3
_DRAWS = 400
_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class RoundQuality:
    """This is how good a round's model is on the random slice.

    Args:
        labels: Labels that the model was fitted on.
        right: Items of the random slice that it gets right.
        judged: Items of the random slice.
    """

    labels: int
    right: int
    judged: int

    def __post_init__(self) -> None:
        if self.labels < 1 or self.judged < 1 or not 0 <= self.right <= self.judged:
            raise DataError(
                f"A round of {self.labels:,} labels, {self.right:,} right of {self.judged:,} "
                "judged cannot be.",
                remedy="Give at least one label and one judged item, and at most as many right.",
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve:
    """This is the error by the number of labels, as far as rounds tell.

    Args:
        known: Whether there are rounds enough to tell.
        why: Why not; empty where they are.
        labels: The fewest and the most labels of the rounds.
        fits: Floor, height and power: the fit first, then those of the draws.
        confidence: Coverage of the intervals.
    """

    known: bool
    why: str
    labels: tuple[int, int]
    fits: Floats
    confidence: float

    def quality(self, labels: int) -> Estimate | None:
        """Return the accuracy to expect of a model fitted on `labels`; None when not known."""
        if not self.known:
            return None
        return self._of(1.0 - errors_of(self.fits, labels))

    def gain(self, labels: int, more: int) -> Estimate | None:
        """Return by how much the accuracy would grow with `more` labels; None when not known."""
        if not self.known:
            return None
        return self._of(errors_of(self.fits, labels) - errors_of(self.fits, labels + more))

    def _of(self, values: Floats) -> Estimate:
        values = np.clip(values, 0.0, 1.0)
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        value = float(values[0])
        return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))

    def document(self) -> dict[str, Any]:
        """Return it as JSON-like data: the fit, or why there is none."""
        if not self.known:
            return {"known": False, "why": self.why}
        floor, height, power = map(float, self.fits[0])
        return {"known": True, "floor": floor, "height": height, "power": power}


def learning_curve(
    rounds: Sequence[RoundQuality], *, confidence: float = 0.8, seed: int = 0
) -> LearningCurve:
    """Fit the curve of rounds.

    Args:
        rounds: The rounds so far, in any order; at least three of different numbers of labels make
            a curve.
        confidence: Coverage of its intervals.
        seed: Draws what else may be.
    """
    sizes = sorted({each.labels for each in rounds})
    if len(sizes) < LEAST_ROUNDS:
        return LearningCurve(
            known=False,
            why=f"{len(sizes)} rounds of different numbers of labels; a curve needs "
            f"{LEAST_ROUNDS}.",
            labels=(sizes[0], sizes[-1]) if sizes else (0, 0),
            fits=np.empty((0, 3)),
            confidence=confidence,
        )
    labels = np.array([each.labels for each in rounds], dtype=np.float64)
    judged = np.array([each.judged for each in rounds], dtype=np.float64)
    wrong = judged - np.array([each.right for each in rounds], dtype=np.float64)
    errors = (wrong / judged)[None, :]
    point, weights = fitted(labels, errors, judged), judged
    for _ in range(_PASSES):  # weighted by what is fitted: a lucky round is no surer than others
        chance = np.clip(errors_of(point, labels[:, None])[:, 0], 0.5 / (judged + 1.0), 0.99)
        weights = judged / (chance * (1 - chance))
        point = fitted(labels, errors, weights)
    draws = np.random.default_rng(seed).beta(
        wrong + 0.5, judged - wrong + 0.5, size=(_DRAWS, len(labels))
    )
    fits = np.concatenate([point, fitted(labels, draws, weights)])
    return LearningCurve(
        known=True,
        why="",
        labels=(sizes[0], sizes[-1]),
        fits=fits,
        confidence=confidence,
    )


def expected_gain(curve: LearningCurve, *, labels: int, more: int) -> Estimate | None:
    """Return by how much the accuracy grows with `more` labels; None when not known."""
    return curve.gain(labels, more)
