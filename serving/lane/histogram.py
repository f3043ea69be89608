"""This module counts durations and sizes in buckets: one search and two additions a value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

LATENCY_EDGES = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
"""Upper edges of what is shown of an answer's duration, in seconds."""

STEP_EDGES = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.5, 1.0,
)  # fmt: skip
"""Likewise of one step of a batch."""

SIZE_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Upper edges of the number of decisions in a batch."""

_PARTS = 4  # so a quantile is wrong by a quarter at most, and usually by a few hundredths


def _finer(edges: Sequence[float]) -> tuple[float, ...]:
    """Return the edges with further ones between them, in even ratios."""
    finer = []
    for low, high in zip((edges[0] / 2, *edges), edges, strict=False):
        ratio = (high / low) ** (1 / _PARTS)
        finer += [low * ratio**part for part in range(1, _PARTS)] + [high]
    return tuple(finer)


FINE_EDGES = _finer((0.00003125, 0.0000625, 0.000125, *LATENCY_EDGES))
"""The edges by which answers are counted, among them all that are shown."""


class Histogram:
    """This is how often a value fell into each bucket, since it began.

    Args:
        edges: Upper edges, growing; a value that equals one belongs below it.
    """

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.total += value
        self.counts[bisect_left(self.edges, value)] += 1

    def cumulated(self, edges: Iterable[float] | None = None) -> list[tuple[float, int]]:
        """Return how many values were at most each edge.

        Args:
            edges: Those of its edges that are wanted; all by default.
        """
        wanted = set(self.edges if edges is None else edges)
        found, below = [], 0
        for edge, count in zip(self.edges, self.counts, strict=False):
            below += count
            if edge in wanted:
                found.append((edge, below))
        return found


def quantile(counts: Sequence[int], share: float, edges: Sequence[float] = FINE_EDGES) -> float:
    """Return the value that a share of all values is below, as far as buckets tell.

    Args:
        counts: How many values fell into each bucket; the last is above all edges.
        share: Between 0 and 1.
        edges: Their upper edges.

    Returns:
        A value within the bucket, in even steps; the last edge where it lies above, and 0 where
        there are no values.
    """
    wanted = share * sum(counts)
    below = 0
    for place, count in enumerate(counts[: len(edges)]):
        if count and below + count >= wanted:
            low = edges[place - 1] if place else 0.0
            return low + (edges[place] - low) * (wanted - below) / count
        below += count
    return edges[-1] if below < sum(counts) else 0.0
