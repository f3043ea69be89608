"""This module asks of block values whether longer blocks would tell another story.

Blocks should not resemble their neighbours. What the tests of `serving._sequences` correct for is a
resemblance between neighbours that fades quickly; if it is stronger, or stays for many blocks, the
mean is less certain than they say, and a longer block is the remedy. Two figures tell:

- the autocorrelation of neighbours, freed of most of its bias (Kendall, "Note on bias in the
  estimation of autocorrelation", Biometrika 41, 1954);
- the ratio of the variance of sums over longer blocks to what independent blocks would give (Lo and
  MacKinlay, "Stock market prices do not follow random walks: evidence from a simple specification
  test", Review of Financial Studies 1, 1988), with their standard error that allows for spreads
  which change.

Either is tested one-sidedly at half the level.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from serving.statistics._arrays import Vector

_FEWEST = 20
_LONGEST = 7  # a week of days
_PARTS = 4  # longer blocks are at most a fourth of all
# what the tests allow for with room to spare: they hold their level up to 0.5
_TOLERATED = 0.4
_LEVEL = 0.01


@dataclass(frozen=True, kw_only=True)
class BlockLength:
    """This says whether blocks are long enough to count as independent, about.

    Args:
        blocks: How many there are.
        autocorrelation: How much of a block's luck is its neighbour's, -1 to 1; None with fewer
            than twenty blocks, or where they do not vary, as for the next three.
        longer: How many blocks make a longer one.
        variance_ratio: Variance of the mean as longer blocks have it, in that of independent ones.
        p_value: How likely independent blocks look at least as dependent, at most; small where they
            are not.
        too_short: Whether they resemble each other beyond chance, and by more than the tests allow
            for; None where that is not known.
    """

    blocks: int
    autocorrelation: float | None = None
    longer: int | None = None
    variance_ratio: float | None = None
    p_value: float | None = None
    too_short: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-like data."""
        return asdict(self)


def block_length(values: Vector) -> BlockLength:
    """Return whether blocks are too short, from their values.

    Args:
        values: Block values in their order, finite, `(n_blocks,)`.
    """
    from scipy.special import ndtr  # type: ignore[import-untyped]

    n = int(values.size)
    centred = values - values.mean() if n else values
    largest = float(np.abs(centred).max(initial=0.0))
    if n < _FEWEST or not largest > 1e-12 * float(np.abs(values).max()):
        return BlockLength(blocks=n)
    centred = centred / largest
    longer = min(_LONGEST, n // _PARTS)
    lags = np.array([_autocorrelation(centred, lag) for lag in range(1, longer)])
    squares = centred**2
    errors = np.array(
        [(squares[lag:] * squares[:-lag]).sum() / squares.sum() ** 2 for lag in range(1, longer)]
    )
    # a mean that is estimated makes each autocorrelation smaller, by about 1 / n
    freed = lags + 1 / n
    weights = 2 * (1 - np.arange(1, longer) / longer)
    ratio = 1 + float(weights @ freed)
    z = (freed[0] / math.sqrt(errors[0]), (ratio - 1) / math.sqrt(float(weights**2 @ errors)))
    p_value = min(1.0, 2 * float(ndtr(-max(z))))
    first = float(np.clip(lags[0] + (1 + 3 * lags[0]) / n, -1.0, 1.0))
    much = first > _TOLERATED or ratio > _tolerated_ratio(longer)
    return BlockLength(
        blocks=n,
        autocorrelation=first,
        longer=longer,
        variance_ratio=ratio,
        p_value=p_value,
        too_short=bool(much and p_value < _LEVEL),
    )


def _autocorrelation(centred: Vector, lag: int) -> float:
    return float((centred[lag:] * centred[:-lag]).sum() / (centred**2).sum())


def _tolerated_ratio(longer: int) -> float:
    """Return the variance ratio of an autoregression with the correlation that is tolerated."""
    lags = np.arange(1, longer)
    return 1 + float(2 * (1 - lags / longer) @ _TOLERATED**lags)
