"""This module is the boundary of a sequence that may be looked at after every block.

The normal mixture over the positive half of a prior: Robbins, "Statistical methods related to the
law of the iterated logarithm" (Annals of Mathematical Statistics 41, 1970), one-sided as in Howard,
Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences"
(Annals of Statistics 49, 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from serving.statistics._arrays import Vector

_NEWTON_STEPS = 40


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


def boundary_scores(*, alpha: float, planned: int, n: Vector) -> Vector:
    """Return the standard score at which the evidence is 1 / alpha after n blocks.

    It is the root of x**2 / 2 + log Phi(x) = c. The left side is convex and grows, so Newton's
    steps from the right, where sqrt(2 (c + log 2)) always is, come down to it.

    Args:
        alpha: The level, in (0, 0.5).
        planned: The number of blocks at which the boundary is lowest.
        n: Numbers of blocks, above 0.
    """
    from scipy.special import log_ndtr  # type: ignore[import-untyped]

    rho2 = prior_variance(alpha, planned)
    amount = 1.0 + n * rho2
    target = -math.log(alpha) - math.log(2) + 0.5 * np.log(amount)
    x = np.sqrt(2 * (target + math.log(2)))
    for _ in range(_NEWTON_STEPS):
        log_phi = log_ndtr(x)
        slope = x + np.exp(-(x**2) / 2 - 0.5 * math.log(2 * math.pi) - log_phi)
        x = x - (x**2 / 2 + log_phi - target) / slope
    root: Vector = x * np.sqrt(amount / (n * rho2))
    return root


def prior_variance(alpha: float, planned: int) -> float:
    """Return the prior's variance that makes the one-sided bound tightest at some block.

    Args:
        alpha: The level, in (0, 0.5).
        planned: Which block.
    """
    size = -2 * math.log(2 * alpha)
    return (size + math.log(size + 1)) / planned
