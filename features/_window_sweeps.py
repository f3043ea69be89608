"""This module sweeps over the moments of windows: what is greatest, how many differ.

A row is in force from one moment to another, given by their positions among all moments of all
entities. Moments of an entity lie together, so no sweep needs to know about entities.
"""

from __future__ import annotations

import numpy as np

from features._window_sums import Ints, counted


def greatest(ranks: Ints, starts: Ints, stops: Ints, size: int) -> Ints:
    """Return at each moment the greatest rank in force, -1 where none is.

    A stretch of moments is covered by two that overlap, each as long as a power of two; from the
    longest to the shortest each passes what it has on to its halves.

    Args:
        ranks: Rank of each row, 0 or more, `(n,)`.
        starts: The moment from which it is in force, `(n,)`.
        stops: The moment from which it no longer is, `(n,)`, after its start.
        size: How many moments there are.
    """
    best = np.full(size, -1, dtype=np.int64)
    if not len(ranks):
        return best
    levels = np.frexp((stops - starts).astype(np.float64))[1] - 1
    order = np.argsort(levels, kind="stable")
    edges = np.searchsorted(levels[order], np.arange(levels.max() + 2))
    for level in range(int(levels.max()), -1, -1):
        half = 1 << level
        if half < size and level < levels.max():
            passed = best[: size - half].copy()
            np.maximum(best[half:], passed, out=best[half:])
        rows = order[edges[level] : edges[level + 1]]
        np.maximum.at(best, starts[rows], ranks[rows])
        np.maximum.at(best, stops[rows] - half, ranks[rows])
    return best


def differing(codes: Ints, starts: Ints, stops: Ints, size: int) -> Ints:
    """Return at each moment how many different codes are in force.

    Args:
        codes: The value of each row as a number, 0 or more, `(n,)`.
        starts: As for `greatest`.
        stops: As for `greatest`.
        size: As for `greatest`.
    """
    if not len(codes):
        return np.zeros(size, dtype=np.int64)
    order = np.lexsort((starts, codes))
    offset = codes[order] * np.int64(size + 1)  # keeps the values apart in one running maximum
    reached = np.maximum.accumulate(stops[order] + offset)
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = starts[order][1:] + offset[1:] > reached[:-1]
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(order) - 1)
    return counted(starts[order][begins], (reached - offset)[ends], size)
