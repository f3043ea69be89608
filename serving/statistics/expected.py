"""This module says how many more blocks a verdict needs if all goes on as it did."""

from __future__ import annotations

import math

import numpy as np

from serving.statistics._arrays import Vector
from serving.statistics._scores import block_scores, untransformed
from serving.statistics.boundaries import boundary_scores

_FEWEST = 3


def blocks_to_verdict(values: Vector, *, alpha: float, planned: int, most: int) -> int | None:
    """Return how many more blocks make the advantage proof, if they are like those so far.

    Mean, spread, skewness and resemblance are taken to stay as they are; only the number of blocks
    grows, and with it the score of `serving._sequences.block_sequence` (Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas, Annals of Statistics 52, 2024). It is a middle course, no promise:
    of experiments as they stand about half will take longer.

    Args:
        values: Block values in their order, finite, `(n_blocks,)`.
        alpha: The level, in (0, 0.5).
        planned: The number of blocks at which the bound is tightest.
        most: How many blocks there may be in all.

    Returns:
        At least 0, which means that it is proof now; None where it is not within `most` blocks, or
        where there is no advantage or no spread.
    """
    have = int(values.size)
    if have < _FEWEST:
        return None
    with np.errstate(all="ignore"):
        now = block_scores(values)
        mean, deviation = float(now.mean[-1]), float(now.deviation[-1])
        if not (deviation > 0 and mean > 0 and math.isfinite(mean / deviation)):
            return None
        n = np.arange(have, max(most, have) + 1, dtype=np.float64)
        share, skew = float(now.effective[-1]) / have, float(now.skew[-1]) * math.sqrt(have)
        enough = _score_needed(n, alpha, planned, share, skew) <= mean / deviation * np.sqrt(n)
    if not enough.any():
        return None
    return int(np.argmax(enough))


def _score_needed(n: Vector, alpha: float, planned: int, share: float, skew: float) -> Vector:
    """Return the t that is proof after n blocks."""
    from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]

    effective = np.maximum(n * share, _FEWEST)
    u = -stdtrit(effective - 1, ndtr(-boundary_scores(alpha=alpha, planned=planned, n=n)))
    return untransformed(u, skew / np.sqrt(n))
