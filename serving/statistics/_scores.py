"""This module turns block values into standard scores that a test of normal values may take.

A mean of a few dozen blocks is not normal enough as it stands. Three corrections answer for that;
each can only bring a good score down:

- Blocks that resemble their neighbours count as fewer: as n_eff = n / f of them, where f is how
  much larger than the plain variance of the mean the largest of three estimates is: the plain one,
  Newey and West's over two blocks (Econometrica 55, 1987), and that of an autoregression of order
  one, (1 + r) / (1 - r) (Andrews, Econometrica 59, 1991), with r freed of most of its bias by
  adding (1 + 3 r) / n (Kendall, Biometrika 41, 1954), from 0 to 0.9.
- When bad blocks are worse than good ones are good (negative skewness), the mean is overrated; P.
  Hall's monotone cubic transformation (JRSS B 54, 1992) takes that out, with the worse of two
  estimates of the mean's skewness: that of n_eff blocks, and one in which the third moment counts
  what neighbours over two blocks have in common, for disasters that last.
- The spread is estimated: the score has the tail that Student's t with n_eff - 1 degrees of freedom
  gives it (Student, Biometrika 6, 1908), at least 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serving.statistics._arrays import Vector
from serving.statistics._moments import moments

_MOST_CORRELATED = 0.9
_FEWEST_EFFECTIVE = 3.0
_LEAST_TAIL = 1e-300


@dataclass(frozen=True, kw_only=True)
class Scores:
    """These are the scores of every beginning of each sequence; each is `(..., n_blocks)`.

    Args:
        n: 1, 2, ..., `(n_blocks,)`.
        mean: Mean of the values so far.
        deviation: Standard deviation that a block counts with; 0 without spread.
        effective: How many independent blocks would tell as much, at least 3.
        skew: Skewness of the mean, at most 0: evidence is only taken away.
        score: The standard score of "the mean is above 0"; not finite without spread.
    """

    n: Vector
    mean: Vector
    deviation: Vector
    effective: Vector
    skew: Vector
    score: Vector


def block_scores(values: Vector) -> Scores:
    """Return the standard scores of the beginnings of sequences of block values.

    Args:
        values: Block values in their order, finite, `(..., n_blocks)`.
    """
    n = np.arange(1, values.shape[-1] + 1, dtype=np.float64)
    found = moments(values, n)
    raw = found.autocorrelation
    r = np.clip(raw + (1 + 3 * raw) / n, 0.0, _MOST_CORRELATED)
    regressed = found.variance * (1 + r) / (1 - r)
    spread = np.maximum(np.maximum(found.variance, found.long_run), regressed)
    deviation = np.sqrt(spread) * found.scale
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(spread > 0, found.variance / spread, 1.0)
        effective = np.maximum(n * share, _FEWEST_EFFECTIVE)
        lasting = found.third / spread**1.5 / np.sqrt(n)
        skew = np.minimum(found.skewness / np.sqrt(effective), np.where(spread > 0, lasting, 0.0))
        skew = np.minimum(skew, 0.0)
        t = np.sqrt(n) * found.mean / deviation
    return Scores(
        n=n,
        mean=found.mean,
        deviation=deviation,
        effective=effective,
        skew=skew,
        score=_normal_of(transformed(t, skew), effective),
    )


def means_below(score: Vector, of: Scores) -> Vector:
    """Return the distance under each mean at which a true mean would have given that score.

    Args:
        score: A standard score for each block, as `block_scores` makes them.
        of: The scores of the same sequences.
    """
    from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]

    tail = ndtr(-np.abs(score))
    u = np.copysign(-stdtrit(of.effective - 1, tail), score)
    return of.deviation / np.sqrt(of.n) * untransformed(u, of.skew)


def transformed(t: Vector, skew: Vector) -> Vector:
    """Return Hall's cubic of t: ((1 + skew t / 3)**3 - 1) / skew + skew / 6."""
    with np.errstate(invalid="ignore", over="ignore"):
        score: Vector = t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6
    return score


def untransformed(score: Vector, skew: Vector) -> Vector:
    """Return the t whose transformed value is `score`: the inverse of Hall's cubic."""
    flat = np.abs(skew) < 1e-9
    safe = np.where(flat, -1.0, skew)
    t = 3 / safe * (np.cbrt(1 + safe * (score - safe / 6)) - 1)
    return np.where(flat, score, t)


def _normal_of(u: Vector, effective: Vector) -> Vector:
    """Return the normal score that is as far out as `u` is for Student's t."""
    from scipy.special import ndtri, stdtr

    with np.errstate(invalid="ignore"):
        tail = np.maximum(stdtr(effective - 1, -np.abs(u)), _LEAST_TAIL)  # NaN stays
        score: Vector = np.copysign(-ndtri(tail), u)
    return score
