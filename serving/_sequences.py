"""This module tests block values and error counts so that looking after every block is allowed.

`block_sequence` is the one-sided normal-mixture asymptotic confidence sequence of Waudby-Smith,
Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics 52, 2024; arXiv 2103.06476), applied to the mean of score
differences as Choe and Ramdas, "Comparing Sequential Forecasters" (Operations Research 72, 2024;
arXiv 2110.00115), do. The mixture is over the positive half of a normal prior, which is the
one-sided form. Their theory holds as blocks grow many, and we have a few dozen. Corrections, each
of which can only lower the evidence, answer for that; the figures are false promotions in percent
at alpha 0.05 over 120 blocks, looking after each from the 20th on (10,000 runs):

| the luck of the blocks | nothing corrected | two corrections | `effective` |
|---|---|---|---|
| normal, independent | 2.9 | 2.3 | 1.2 |
| as alike from block to block as 0.3 | 11.2 | 6.6 | 2.9 |
| as alike as 0.5 | 21.8 | 11.5 | 3.4 |
| exponential, bad ones worse | 10.9 | 4.4 | 2.6 |
| lognormal, bad ones far worse | 19.6 | 8.7 | 5.9 |

The two are Newey and West's variance over two blocks (Econometrica 55, 1987) where it is larger,
and P. Hall's transformation against skewness (JRSS B 54, 1992). With `effective` there are three;
`serving.statistics._scores` says which. Verdicts of before were judged by two. Not cured: luck
that stays for many blocks, such as seasons, and rare disasters. Then a longer block, or more of
them, is the remedy.

`log_e_of_errors` needs no such theory: it is a mixture of likelihood ratios.
"""

from __future__ import annotations

import math

import numpy as np

from serving.statistics._arrays import Vector
from serving.statistics._moments import moments
from serving.statistics._scores import (
    Scores,
    block_scores,
    means_below,
    transformed,
    untransformed,
)
from serving.statistics.boundaries import BlockSequence, boundary_scores, prior_variance

__all__ = ["BlockSequence", "Vector", "block_sequence", "log_e_of_errors"]

_FEWEST = 3  # of two values there is no skewness


def block_sequence(
    values: Vector, *, alpha: float, planned: int, effective: bool = False
) -> BlockSequence:
    """Return the evidence and the lower bound after each block.

    Args:
        values: Block values in their order, finite, `(..., n_blocks)`; leading axes are separate
            sequences.
        alpha: Chance of a bound that is ever above the true mean, in (0, 0.5).
        planned: The number of blocks at which the bound is tightest.
        effective: Whether blocks that resemble each other count as fewer, as rulings have it; the
            first verdicts were judged without.
    """
    from scipy.special import log_ndtr  # type: ignore[import-untyped]

    scores = block_scores(values) if effective else _as_before(values)
    n, rho2 = scores.n, prior_variance(alpha, planned)
    amount = 1.0 + n * rho2
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        x = scores.score * np.sqrt(n * rho2 / amount)
        log_e = math.log(2) - 0.5 * np.log(amount) + x**2 / 2 + log_ndtr(x)
        needed = boundary_scores(alpha=alpha, planned=planned, n=n)
        if effective:
            lower = scores.mean - means_below(needed, scores)
        else:
            step = scores.deviation / np.sqrt(n)
            lower = scores.mean - step * untransformed(needed, scores.skew)
    unknown = (n < _FEWEST) | ~(scores.deviation > 0) | ~np.isfinite(lower)
    return BlockSequence(
        mean=scores.mean,
        lower=np.where(unknown, np.nan, lower),
        log_e=np.where(unknown, np.nan, log_e),
        deviation=scores.deviation,
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


def _as_before(values: Vector) -> Scores:
    """Return the scores that the first verdicts were judged by, the same to the last bit."""
    n = np.arange(1, values.shape[-1] + 1, dtype=np.float64)
    found = moments(values, n)
    deviation = np.sqrt(np.maximum(found.variance, found.long_run)) * found.scale
    skew = np.minimum(found.skewness, 0.0) / np.sqrt(n)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        t = np.sqrt(n) * found.mean / deviation
        score = transformed(t, skew)
    return Scores(n=n, mean=found.mean, deviation=deviation, effective=n, skew=skew, score=score)
