"""This module says how well one array of numbers ranks another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LEAST_ROWS = 30  # of each class: below it a chance feature separates the label too often


def ranking_strength(values: Floats, truth: Floats, *, binary: bool) -> float:
    """Return how well the values rank the truth, 0 to 1, whichever way round."""
    import numpy as np

    if len(values) < 2 * LEAST_ROWS:
        return 0.0
    ranks = _ranks(values)
    if not binary:
        other = _ranks(truth)
        if np.ptp(ranks) == 0 or np.ptp(other) == 0:
            return 0.0
        return float(abs(np.corrcoef(ranks, other)[0, 1]))
    positive = truth == truth.max()
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if min(ones, zeros) < LEAST_ROWS:
        return 0.0
    area = (ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    return float(max(area, 1 - area))


def _ranks(values: Floats) -> Floats:
    """Return mid-ranks from 1, ties sharing their mean."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks
