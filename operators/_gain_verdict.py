"""This module judges measured gains: how sure one is, after as many views as were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """This is how much smaller the loss was with a view than without, over blocks of time.

    Args:
        mean: Mean over blocks.
        low: Lower end of the two-sided 95 % interval.
        high: Upper end.
        p: Probability of such a mean, or a larger one, where the view adds nothing (one-sided).
        blocks: Number of blocks.
    """

    mean: float
    low: float
    high: float
    p: float
    blocks: int


def gain_of(differences: Vector, block: npt.NDArray[np.int64]) -> Gain:
    """Return the mean difference of losses with its interval, by Student's t over block means.

    Args:
        differences: Loss without minus loss with the view, one a judged row.
        block: The block of each row.
    """
    from scipy import stats  # type: ignore[import-untyped]  # it ships no types

    _, index, counts = np.unique(block, return_inverse=True, return_counts=True)
    means = np.bincount(index, weights=differences) / counts
    n = len(means)
    mean = float(means.mean())
    spread = float(means.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if spread == 0.0:  # the model never looked at the view
        return Gain(mean=mean, low=mean, high=mean, p=1.0, blocks=n)
    half = float(stats.t.ppf(0.975, n - 1)) * spread
    p = float(stats.t.sf(mean / spread, n - 1))
    return Gain(mean=mean, low=mean - half, high=mean + half, p=p, blocks=n)


def adjusted(p: Sequence[float]) -> list[float]:
    """Return p-values that hold for all tries together, by Holm's step-down procedure.

    The chance that any view without worth passes is at most the level, however the views depend on
    each other (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    found = [0.0] * len(p)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        found[i] = worst
    return found
