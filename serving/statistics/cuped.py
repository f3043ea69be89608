"""This module takes luck out of the means of two arms by what was known of their units before.

Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data" (WSDM 2013): from each arm's mean theta times the excess of its
covariate is subtracted. The arms were dealt by chance, so that excess is expected to be 0 and the
difference of the means stays what it was, while its variance falls by the square of the
correlation. That takes theta as given: worked out from the very block that it corrects, it would
know what is to come, and what may be stopped at any block would no longer be a fair game. So a
block's theta is from the blocks before it, and 0 in the first.

It is the caller's part that the covariate was measured before the unit could meet an arm. One that
the arms change takes their effect away with the luck; nothing in the data can show it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from serving.statistics._arrays import Flags, Numbers, Vector, require_rows, vector

_ARMS = 2
_DUST = 1e-12


@dataclass(frozen=True, kw_only=True)
class AdjustedMeans:
    """These are the means of two arms in each block, and what the covariate did to them.

    Args:
        means: Adjusted mean of champion and challenger, in the unit of the value,
            `(n_blocks, 2)`; NaN where an arm has no units, or a value of them is unknown.
        plain: The same without adjustment.
        theta: What an excess of 1 of the covariate is worth, `(n_blocks,)`.
        removed: Share of the variance of the difference of the arms that the adjustment removed, by
            the spread within blocks; below 0 where it added some, NaN where there is no spread.
    """

    means: Vector
    plain: Vector
    theta: Vector
    removed: float


class _Past:
    """This is what the blocks so far say of the covariate; it grows block by block."""

    def __init__(self) -> None:
        self._weight = self._total = 0.0
        self._together = self._spread = 0.0
        self._before = self._after = 0.0

    def excess(self, known: Vector) -> Vector:
        """Return the covariate less its mean so far; 0, the mean itself, where it is unknown."""
        centre = self._total / self._weight if self._weight else 0.0
        return np.where(np.isnan(known), 0.0, known - centre)

    def theta(self) -> float:
        """Return what would have made the variance of the difference least so far."""
        return self._together / self._spread if self._spread > 0 else 0.0

    def removed(self) -> float:
        """Return the share of the variance that was removed, each block by its own theta."""
        return 1 - self._after / self._before if self._before > 0 else float("nan")

    def learn(self, value: Vector, known: Vector, weight: Vector, arms: list[Flags]) -> None:
        """Add a block, once its own means have been made."""
        theta, there = self.theta(), ~np.isnan(known)
        self._weight += float(weight[there].sum())
        self._total += float(weight[there] @ known[there])
        if not all(each.any() for each in arms) or np.isnan(value).any():
            return  # no difference of two arms, or an unknown one: its variance is unknown too
        excess = self.excess(known) if _varies(known[there]) else np.zeros(known.size)
        variance = together = spread = 0.0
        for each in arms:
            share = weight[each] / weight[each].sum()
            y = share * (value[each] - share @ value[each])
            x = share * (excess[each] - share @ excess[each])
            variance, together, spread = variance + y @ y, together + y @ x, spread + x @ x
        self._together += together
        self._spread += spread
        self._before += variance
        self._after += variance - 2 * theta * together + theta**2 * spread


def cuped_blocks(
    block_index: npt.ArrayLike,
    arm: npt.ArrayLike,
    value: npt.ArrayLike,
    covariate: npt.ArrayLike,
    weight: npt.ArrayLike,
) -> AdjustedMeans:
    """Return each arm's mean by block, less the luck that a covariate from before shows.

    Deng, Xu, Kohavi and Walker (WSDM 2013), with means weighted by inverse propensities (Hájek,
    1971) and a theta that was known before each block: of all, the one that would have made the
    variance of the difference least in the blocks before. A unit whose covariate is unknown counts
    with the mean of those that were known before: it is neither moved nor left out. Whether it is
    unknown was decided before the arms, and so that prefers none of them.

    Args:
        block_index: Number of each row's block in order of time, from 0; rows of -1 are left out,
            `(n_rows,)`. A row is a unit in a block.
        arm: 0 for the champion, 1 for the challenger, `(n_rows,)`.
        value: The outcome; NaN, for unknown, makes the mean of its arm in its block unknown,
            `(n_rows,)`.
        covariate: What was known before, of any unit; NaN for unknown, `(n_rows,)`.
        weight: 1 / propensity of the arm, above 0, `(n_rows,)`.

    Raises:
        ParameterError: The arrays are not as long as each other.
        DataError: A weight is not above 0 and finite, or an arm neither 0 nor 1.
    """
    blocks, arms = np.asarray(block_index, dtype=np.int64), vector(arm)
    values, known, weights = vector(value), vector(covariate), vector(weight)
    require_rows(block_index=blocks, arm=arms, value=values, covariate=known, weight=weights)
    _require_dealt(arms, weights)
    inside = blocks >= 0
    order = np.flatnonzero(inside)[np.argsort(blocks[inside], kind="stable")]
    count = int(blocks.max(initial=-1)) + 1
    edges = np.searchsorted(blocks[order], np.arange(count + 1))
    known = np.where(np.isfinite(known), known, np.nan)
    return _by_block(
        [order[a:b] for a, b in itertools.pairwise(edges)],
        arms == 1,
        values,
        known,
        weights,
    )


def _by_block(
    rows_of: list[Numbers], is_second: Flags, value: Vector, known: Vector, weight: Vector
) -> AdjustedMeans:
    """Go through the blocks in order; each one is adjusted before anything is learned of it."""
    plain = np.full((len(rows_of), _ARMS), np.nan)
    means, theta, past = plain.copy(), np.zeros(len(rows_of)), _Past()
    for number, rows in enumerate(rows_of):
        y, x, w = value[rows], known[rows], weight[rows]
        arms = [is_second[rows] == bool(each) for each in range(_ARMS)]
        excess, theta[number] = past.excess(x), past.theta()
        usual = _mean(excess, w)
        plain[number] = [_mean(y[each], w[each]) for each in arms]
        luck = np.array([_mean(excess[each], w[each]) - usual for each in arms])
        means[number] = plain[number] - theta[number] * luck
        past.learn(y, x, w, arms)
    return AdjustedMeans(means=means, plain=plain, theta=theta, removed=past.removed())


def _varies(values: Vector) -> bool:
    """Return whether values differ by more than their last digits."""
    return bool(values.size and np.ptp(values) > _DUST * np.abs(values).max())


def _mean(values: Vector, weight: Vector) -> float:
    return float(weight @ values / weight.sum()) if values.size else float("nan")


def _require_dealt(arms: Vector, weights: Vector) -> None:
    wrong = ~np.isin(arms, (0, 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"Row {row} met the arm {arms[row]:g}.",
            remedy="Give 0 for the champion and 1 for the challenger, and no other rows.",
        )
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"Row {row} has the weight {weights[row]:g}.",
            remedy="Give 1 / propensity; leave out rows that were not dealt with a known chance.",
        )
