"""This module tests whether outcomes became known about as often in one arm as in the other.

Where they did not, what is known of the arms is two different selections, and their comparison is
about the selection. Before outcomes are due nothing is missing: counts must be of mature decisions.

The days of an experiment have different shares of known outcomes, and arms different shares of the
days; so totals may differ although the arms never did (Simpson's paradox). Hence each block is an
experiment of its own, and evidence is multiplied over blocks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError, ParameterError
from serving.statistics._arrays import Vector, require_rows, vector

# by how much more than allowed the shares may differ, from half a point on
_EXCESSES = np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
_EDGE = 1e-4  # no share is expected to be nearer to 0 or 1: one exception is not all evidence
_HALVINGS = 60


def log_e_of_coverage(decisions: npt.ArrayLike, known: npt.ArrayLike, *, gap: float) -> Vector:
    """Return the log evidence against "the shares of known outcomes differ by at most `gap`".

    A product over blocks of the E-variables of Turner, Ly and Grünwald, "Generic E-variables for
    exact sequential k-sample tests that allow for optional stopping" (Journal of Statistical
    Planning and Inference 230, 2024): in a block, how likely the counts are if the shares differ
    by more, against the nearest pair of shares that is allowed (for a band of differences: Turner
    and Grünwald, "Exact anytime-valid confidence intervals for contingency tables and beyond",
    Statistics & Probability Letters 198, 2023). It is averaged over how much more they may differ,
    around the share of both arms in all blocks before: so the first block is never evidence. Each
    block's true shares may be others; only their difference has to be within the gap.

    At a level alpha a difference is found once this reaches log(1 / alpha); it may be looked at
    after every block. Decisions of a block count as independent: where the outcomes of a unit's
    decisions come or fail together, count units.

    Args:
        decisions: Mature decisions of the two arms by block, in order, `(n_blocks, 2)`.
        known: How many of them have an outcome, `(n_blocks, 2)`.
        gap: The difference of the shares that is allowed, from 0 to below 1.

    Returns:
        After each block, `(n_blocks,)`; the last one is what is known now.

    Raises:
        ParameterError: The arrays do not fit together, or `gap` is no difference.
        DataError: A count is below 0, unknown or larger than its decisions.
    """
    from scipy.special import logsumexp, xlogy  # type: ignore[import-untyped]

    trials, hits = vector(decisions), vector(known)
    _require_counts(trials, hits, gap)
    if not len(trials):
        return np.zeros(0)
    before = np.cumsum(trials.sum(axis=1)) - trials.sum(axis=1)
    found = np.cumsum(hits.sum(axis=1)) - hits.sum(axis=1)
    centre = (found + 0.5) / (before + 1.0)
    expected = _alternatives(centre, trials, gap)  # (n_blocks, n_alternatives, 2)
    allowed = _nearest_allowed(expected, trials, gap)
    hits, missed = hits[:, None, :], (trials - hits)[:, None, :]
    ratio = (
        xlogy(hits, expected)
        + xlogy(missed, 1 - expected)
        - xlogy(hits, allowed)
        - xlogy(missed, 1 - allowed)
    ).sum(axis=2)
    ratio[before == 0] = 0.0
    evidence: Vector = logsumexp(np.cumsum(ratio, axis=0), axis=1) - np.log(ratio.shape[1])
    return evidence


def _alternatives(centre: Vector, trials: Vector, gap: float) -> Vector:
    """Return pairs of shares that differ by more than allowed, around a share of both."""
    sides = np.concatenate([-(gap + _EXCESSES), gap + _EXCESSES])
    sides = sides[np.abs(sides) < 1 - 2 * _EDGE]
    # the pair's mean over the block's decisions is the centre
    weight = trials[:, 1] / np.maximum(trials.sum(axis=1), 1.0)
    first = centre[:, None] - weight[:, None] * sides[None, :]
    first = np.clip(first, _EDGE - np.minimum(sides, 0), 1 - _EDGE - np.maximum(sides, 0))
    return np.stack([first, first + sides], axis=2)


def _nearest_allowed(expected: Vector, trials: Vector, gap: float) -> Vector:
    """Return the allowed pair of shares to which the expected one has the least divergence.

    It differs by just `gap`. The divergence of the counts is convex along that line, and so the
    ratio to its least point is an E-variable against every pair that is allowed.
    """
    first, second = expected[..., 0], expected[..., 1]
    shift = gap * np.sign(second - first)
    low, high = np.minimum(first, second - shift), np.maximum(first, second - shift)
    n_first, n_second = trials[:, :1], trials[:, 1:]
    for _ in range(_HALVINGS):
        x = (low + high) / 2
        y = x + shift
        slope = n_first * (x - first) * y * (1 - y) + n_second * (y - second) * x * (1 - x)
        low, high = np.where(slope > 0, low, x), np.where(slope > 0, x, high)
    x = (low + high) / 2
    return np.stack([x, x + shift], axis=2)


def _require_counts(trials: Vector, hits: Vector, gap: float) -> None:
    require_rows(decisions=trials, known=hits)
    if trials.shape[1:] != (2,) or hits.shape[1:] != (2,):
        raise ParameterError(
            f"Counts of the shape {trials.shape} and {hits.shape} are not those of two arms.",
            remedy="Give one row for each block, with a count for each of the two arms.",
        )
    if not 0 <= gap < 1:
        raise ParameterError(
            f"Shares cannot be allowed to differ by {gap:g}.",
            remedy="Give a difference from 0 to below 1, such as 0.02.",
        )
    wrong = ~((hits >= 0) & (hits <= trials) & np.isfinite(trials)).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"In block {row} outcomes of {hits[row].tolist()} decisions are known, of "
            f"{trials[row].tolist()}.",
            remedy="Give counts of at least 0, no more known than there are decisions.",
        )
