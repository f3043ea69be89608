"""This module tests block values and error counts so that looking after every block is allowed.

`block_sequence` is the one-sided normal-mixture asymptotic confidence sequence of Waudby-Smith,
Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics 52, 2024; arXiv 2103.06476), applied to the mean of score
differences as Choe and Ramdas, "Comparing Sequential Forecasters" (Operations Research 72, 2024;
arXiv 2110.00115), do. The mixture is over the positive half of a normal prior, which is the
one-sided form. Their theory holds as blocks grow many, and we have a few dozen. Two corrections,
each of which can only lower the evidence, answer for that; the figures are false promotions at
alpha 0.05 over 60 blocks, looking after each from the 20th on (10,000 runs):

- The spread is the larger of the plain one and Newey and West's (Econometrica 55, 1987) over two
  blocks, for weather that stays: with a correlation of 0.2 from day to day 4.6 % rather than 5.9 %.
- When bad blocks are worse than good ones are good (negative skewness), the mean is overrated; P.
  Hall's monotone cubic transformation (JRSS B 54, 1992) takes that out: for exponential losses
  3.9 % rather than 8.9 %.

Independent normal blocks give 1.8 %. Not cured: a correlation of 0.3 gives about 6 %, and luck that
is skewed as a lognormal 8 %. Then a longer block is the remedy.

`log_e_of_errors` needs no such theory: it is a mixture of likelihood ratios.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float64]

_LAGS = 2
_FEWEST = 3  # of two values there is no skewness
_NEWTON_STEPS = 40
_DUST = 1e-12


@dataclass(frozen=True, kw_only=True)
class BlockSequence:
    """This is what is known after each block, from the first on.

    Args:
        mean: Mean of the values so far, `(..., n_blocks)`.
        lower: Lower confidence bound of the mean, valid at all blocks at once (from some twenty
            on); NaN where there are fewer than three blocks, or no spread.
        log_e: Natural logarithm of the evidence against "the mean is not above 0". It reaches
            log(1 / alpha) exactly where `lower` reaches 0. NaN where `lower` is.
        deviation: Standard deviation that a block counts with.
    """

    mean: Vector
    lower: Vector
    log_e: Vector
    deviation: Vector


def block_sequence(values: Vector, *, alpha: float, planned: int) -> BlockSequence:
    """Return the evidence and the lower bound after each block.

    Args:
        values: Block values in their order, finite, `(..., n_blocks)`; leading axes are separate
            sequences.
        alpha: Chance of a bound that is ever above the true mean, in (0, 0.5).
        planned: The number of blocks at which the bound is tightest.
    """
    from scipy.special import log_ndtr  # type: ignore[import-untyped]

    n = np.arange(1, values.shape[-1] + 1, dtype=np.float64)
    mean, deviation, skewness = _moments(values, n)
    # at most 0: evidence is only taken away
    skew = np.minimum(skewness, 0.0) / np.sqrt(n)
    rho2 = _rho2(alpha, planned)
    amount = 1.0 + n * rho2
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        t = np.sqrt(n) * mean / deviation
        score = t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6
        x = score * np.sqrt(n * rho2 / amount)
        log_e = math.log(2) - 0.5 * np.log(amount) + x**2 / 2 + log_ndtr(x)
        needed = _boundary(alpha, rho2, n)
        lower = mean - deviation / np.sqrt(n) * _before_transformation(needed, skew)
    unknown = (n < _FEWEST) | ~(deviation > 0) | ~np.isfinite(lower)
    return BlockSequence(
        mean=mean,
        lower=np.where(unknown, np.nan, lower),
        log_e=np.where(unknown, np.nan, log_e),
        deviation=deviation,
    )


def log_e_of_errors(failures: int, trials: int, limit: float) -> float:
    """Return the log evidence, at any time, that a failure rate is above `limit`.

    The likelihood ratios against `limit` are averaged over all higher rates, evenly.

    Args:
        failures: How many of the trials failed.
        trials: At least `failures`.
        limit: The rate that is allowed, from 0 to below 1.
    """
    from scipy.special import betainc, betaln

    if limit == 0:
        return math.inf if failures else 0.0
    passed = trials - failures
    # the share of the Beta distribution above the limit, from the other end so that it is exact
    above = float(betainc(passed + 1, failures + 1, 1 - limit))
    if above == 0:
        return -math.inf
    against = failures * math.log(limit) + passed * math.log1p(-limit) + math.log1p(-limit)
    return math.log(above) + float(betaln(failures + 1, passed + 1)) - against


def _rho2(alpha: float, planned: int) -> float:
    """Return the prior's variance that makes the one-sided bound tightest at `planned` blocks."""
    size = -2 * math.log(2 * alpha)
    return (size + math.log(size + 1)) / planned


def _moments(values: Vector, n: Vector) -> tuple[Vector, Vector, Vector]:
    """Return mean, deviation and skewness of every beginning of each sequence."""
    first = values[..., :1]
    moved = values - first  # differences to the first keep digits that powers of values would lose
    largest = np.max(np.abs(moved), axis=-1, keepdims=True, initial=0.0)
    scale = np.exp2(np.ceil(np.log2(np.where(largest > 0, largest, 1.0))))
    moved = moved / scale  # a power of two: exact
    reach = np.maximum.accumulate(np.abs(moved), axis=-1)
    varied = reach > _DUST * np.abs(first / scale)  # not by the last digits of equal values only
    total = np.cumsum(moved, axis=-1)
    squares, cubes = np.cumsum(moved**2, axis=-1), np.cumsum(moved**3, axis=-1)
    centre = total / n
    rest = np.maximum(n - 1, 1.0)
    variance = np.maximum(squares - n * centre**2, 0.0) / rest
    variance = np.where(varied, variance, 0.0)
    third = (cubes - 3 * centre * squares + 2 * n * centre**3) / n
    spread = np.maximum(variance, _long_run_variance(moved, total, centre, variance, n))
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(variance > 0, third / variance**1.5, 0.0)
    return first + centre * scale, np.sqrt(spread) * scale, skewness


def _long_run_variance(
    values: Vector, total: Vector, centre: Vector, variance: Vector, n: Vector
) -> Vector:
    """Return Newey and West's variance with the weights of Bartlett, of every beginning."""
    result = variance.copy()
    for lag in range(1, min(_LAGS, values.shape[-1] - 1) + 1):
        together = np.zeros_like(values)
        together[..., lag:] = np.cumsum(values[..., lag:] * values[..., :-lag], axis=-1)
        early, late = np.zeros_like(values), np.zeros_like(values)
        early[..., lag:] = total[..., :-lag]
        late[..., lag:] = total[..., lag:] - total[..., lag - 1 : lag]
        products = together - centre * (early + late) + np.maximum(n - lag, 0.0) * centre**2
        result += 2 * (1 - lag / (_LAGS + 1)) * products / np.maximum(n - 1, 1.0)
    return np.where(variance > 0, result, 0.0)


def _boundary(alpha: float, rho2: float, n: Vector) -> Vector:
    """Return the standard score, transformed, at which the evidence is 1 / alpha after n blocks.

    It is the root of x**2 / 2 + log Phi(x) = c. The left side is convex and grows, so Newton's
    steps from the right, where sqrt(2 (c + log 2)) always is, come down to it.
    """
    from scipy.special import log_ndtr

    amount = 1.0 + n * rho2
    target = -math.log(alpha) - math.log(2) + 0.5 * np.log(amount)
    x = np.sqrt(2 * (target + math.log(2)))
    for _ in range(_NEWTON_STEPS):
        log_phi = log_ndtr(x)
        slope = x + np.exp(-(x**2) / 2 - 0.5 * math.log(2 * math.pi) - log_phi)
        x = x - (x**2 / 2 + log_phi - target) / slope
    root: Vector = x * np.sqrt(amount / (n * rho2))
    return root


def _before_transformation(score: Vector, skew: Vector) -> Vector:
    """Return the t whose transformed value is `score`: the inverse of Hall's cubic."""
    # score = ((1 + skew t / 3)**3 - 1) / skew + skew / 6
    flat = np.abs(skew) < 1e-9
    safe = np.where(flat, -1.0, skew)
    t = 3 / safe * (np.cbrt(1 + safe * (score - safe / 6)) - 1)
    return np.where(flat, score, t)
