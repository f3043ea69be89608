"""This module tests block values at a few looks that were fixed beforehand.

The boundary is O'Brien and Fleming's ("A multiple testing procedure for clinical trials",
Biometrics 35, 1979): at look k the standard score must reach C * sqrt(N / n_k), where n_k of at
most N blocks are there. C is found by the recursive integration of Armitage, McPherson and Rowe
("Repeated significance tests on accumulating data", JRSS A 132, 1969), with the numbers of blocks
as they are. Bounds and p-values at each look are the repeated ones of Jennison and Turnbull
("Interim analyses: the repeated confidence interval approach", JRSS B 51, 1989).

That theory is for normal scores. With a few dozen blocks whose spread is estimated, what is
compared is not t but the normal score that is as far out (the significance-level approach of
Jennison and Turnbull, "Group Sequential Methods with Applications to Clinical Trials", 2000,
section 3.8), with the corrections for skewness and resemblance of `serving.statistics._scores`. It
is not exact: early looks at few blocks are where it errs, and there the boundary is far out.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from serving.statistics._arrays import Vector
from serving.statistics._scores import block_scores, means_below
from serving.statistics.boundaries import BlockSequence

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator  # type: ignore[import-untyped]

_FEWEST = 3
# constants from 0, beyond which nothing is proved at any level, to one in 1e-13
_LOWEST, _HIGHEST, _CONSTANTS = 0.0, 7.5, 151
_REACH, _STEPS = 9.0, 600


def group_sequence(values: Vector, *, alpha: float, looks: int, max_blocks: int) -> BlockSequence:
    """Return the evidence and the lower bound at each look; NaN at all other blocks.

    Args:
        values: Block values in their order, finite, `(..., n_blocks)`; what comes after the last
            look does not count.
        alpha: Chance of a bound that is above the true mean at any look, in (0, 0.5).
        looks: How often one looks, at even distances, at least once.
        max_blocks: When for the last time, at least `looks`.

    Returns:
        `log_e` is minus the logarithm of the repeated p-value: it reaches log(1 / alpha) exactly
        where `lower` reaches 0. It is no e-value.
    """
    at = look_blocks(looks, max_blocks)
    constant, log_chance = boundary(at, alpha), _log_chance(at)
    scores = block_scores(values)
    is_look = np.isin(scores.n, np.array(at, dtype=np.float64))
    share = np.sqrt(np.minimum(scores.n / at[-1], 1.0))
    with np.errstate(invalid="ignore"):
        inside = np.clip(scores.score * share, _LOWEST, _HIGHEST)
        log_e = np.maximum(-log_chance(inside), 0.0)
        lower = scores.mean - means_below(constant / share, scores)
    unknown = ~is_look | (scores.n < _FEWEST) | ~(scores.deviation > 0) | ~np.isfinite(lower)
    return BlockSequence(
        mean=scores.mean,
        lower=np.where(unknown, np.nan, lower),
        log_e=np.where(unknown, np.nan, log_e),
        deviation=scores.deviation,
    )


def look_blocks(looks: int, max_blocks: int) -> tuple[int, ...]:
    """Return after how many blocks one looks: at even distances, the last time after all."""
    return tuple(dict.fromkeys(round(max_blocks * k / looks) for k in range(1, looks + 1)))


def boundary(at: tuple[int, ...], alpha: float) -> float:
    """Return C: a score that reaches C * sqrt(N / n) after n of N blocks is proof.

    Args:
        at: After how many blocks one looks; the last is N.
        alpha: Chance that equal models reach it at any look, in (0, 0.5). Below 1e-13 the answer is
            infinite: nothing is proof.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    log_chance = _log_chance(at)

    def missing(constant: float) -> float:
        return float(log_chance(constant)) - math.log(alpha)

    if missing(_HIGHEST) > 0:
        return math.inf
    return float(brentq(missing, _LOWEST, _HIGHEST, xtol=1e-12))


def chance(at: tuple[int, ...], constant: float) -> float:
    """Return how likely normal scores of equal models ever reach C * sqrt(N / n) at a look.

    Args:
        at: After how many blocks one looks; the last is N.
        constant: C.
    """
    from scipy.special import ndtr  # type: ignore[import-untyped]

    # Sums of blocks, in units of sqrt(N): there the boundary is C at every look. `density` is that
    # of the sum where no look has proved anything yet, on a grid under C; what leaves it below
    # cannot come back.
    grid = np.linspace(constant - 2 * _REACH, constant, 2 * _STEPS + 1)
    weights = _simpson(grid)
    total = float(ndtr(-constant / math.sqrt(at[0] / at[-1])))
    density = _normal(grid, at[0] / at[-1])
    for before, now in itertools.pairwise(at):
        step = (now - before) / at[-1]
        total += float((density * weights) @ ndtr((grid - constant) / math.sqrt(step)))
        density = _step(step)(density * weights)
    return total


def _step(variance: float) -> Callable[[Vector], Vector]:
    """Return what adds a normal step to weighted densities on the grid."""
    from scipy.signal import fftconvolve  # type: ignore[import-untyped]

    width = 2 * _REACH / (2 * _STEPS)
    apart = np.arange(-2 * _STEPS, 2 * _STEPS + 1, dtype=np.float64) * width
    kernel = _normal(apart, variance)

    def moved(weighted: Vector) -> Vector:
        sums: Vector = fftconvolve(weighted, kernel)[2 * _STEPS : 4 * _STEPS + 1]
        return np.maximum(sums, 0.0)

    return moved


@functools.lru_cache(maxsize=32)
def _log_chance(at: tuple[int, ...]) -> PchipInterpolator:
    """Return the logarithm of `chance` as a function of the constant, monotone."""
    from scipy.interpolate import PchipInterpolator

    constants = np.linspace(_LOWEST, _HIGHEST, _CONSTANTS)
    return PchipInterpolator(constants, [math.log(chance(at, float(c))) for c in constants])


def _normal(x: Vector, variance: float) -> Vector:
    density: Vector = np.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return density


def _simpson(grid: Vector) -> Vector:
    weights = np.full(grid.size, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    weights *= (grid[1] - grid[0]) / 3
    return weights
