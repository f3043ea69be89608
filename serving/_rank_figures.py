"""This module computes what metrics of ranks say of each block: AUC of decisions, NDCG of lists."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from serving.statistics.ranks import auc, ndcg

Flags: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]
Vector: TypeAlias = npt.NDArray[np.float64]


def auc_of_blocks(block: Indices, size: int, outcome: Vector, score: Vector) -> Vector:
    """Return the AUC of each block, NaN where it is not defined.

    Args:
        block: Number of each decision's block; decisions that do not count are left out.
        size: How many blocks there are.
        outcome: 0 or 1.
        score: The scores of one model.
    """
    order = np.argsort(block, kind="stable")
    edges = np.searchsorted(block[order], np.arange(size + 1))
    figures = np.full(size, np.nan)
    for number in np.flatnonzero(np.diff(edges)):
        rows = order[edges[number] : edges[number + 1]]
        known = auc(outcome[rows], score[rows])
        figures[number] = math.nan if known is None else known
    return figures


def ndcg_of_lists(lists: Indices, size: int, outcome: Vector, score: Vector) -> Vector:
    """Return the NDCG of each list, NaN where nothing in it is relevant, or it has no rows.

    Args:
        lists: Number of each decision's list; decisions that do not count are left out.
        size: How many lists there are.
        outcome: How relevant, at least 0.
        score: The scores of one model.
    """
    figures = np.full(size, np.nan)
    if lists.size:
        figures[np.unique(lists)] = ndcg(outcome, score, lists)
    return figures


def auc_difference_error(
    outcome: Vector, champion: Vector, challenger: Vector, *, weight: float
) -> float | None:
    """Return the standard error of a difference of AUCs, as if decisions were independent.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves" (Biometrics 44, 1988), by the midranks of Sun and Xu (IEEE
    Signal Processing Letters 21, 2014).

    Args:
        outcome: 0 or 1; with fewer than two of either None is returned.
        champion: Its scores.
        challenger: Its scores.
        weight: What the champion's AUC is multiplied with before it is taken off the other.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    positive = outcome == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if ones < 2 or zeros < 2:
        return None
    placed = []
    for score in (champion, challenger):
        ranks = rankdata(score)
        above = (ranks[positive] - rankdata(score[positive])) / zeros
        below = 1 - (ranks[~positive] - rankdata(score[~positive])) / ones
        placed.append((above, below))
    (ours_one, ours_zero), (theirs_one, theirs_zero) = placed
    spread = np.var(theirs_one - weight * ours_one, ddof=1) / ones
    spread += np.var(theirs_zero - weight * ours_zero, ddof=1) / zeros
    return math.sqrt(float(spread)) if spread > 0 else None
