"""This module computes metrics of rankings: AUC of outcomes 0 and 1, NDCG of graded ones.

Such a metric is no mean over decisions, and so the evidence is its values in blocks. Where a block
ends may depend on outcomes, as in blocks that a count of either closes, and never on scores: the
scores of the 1s are drawn alike wherever it ends, and each block's AUC is an unbiased estimate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.statistics._arrays import Vector, require_rows, vector


def auc(outcome: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Return how likely a 1 is scored above a 0; a tie counts half.

    The statistic of Mann and Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other" (Annals of Mathematical Statistics 18, 1947), by ranks.

    Args:
        outcome: 0 or 1, `(n_rows,)`.
        score: The larger, the likelier a 1; of any unit, infinite ones too, `(n_rows,)`.

    Returns:
        0 to 1; None where it is not defined: there is no 1, no 0, or a value is unknown (a score
        that is NaN, an outcome that is neither 0 nor 1).

    Raises:
        ParameterError: The arrays are not as long as each other.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    truth, scores = vector(outcome), vector(score)
    require_rows(outcome=truth, score=scores)
    positive = truth == 1
    ones, zeros = int(positive.sum()), int((truth == 0).sum())
    if not ones or not zeros or ones + zeros < truth.size or np.isnan(scores).any():
        return None
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def ndcg(relevance: npt.ArrayLike, score: npt.ArrayLike, lists: npt.ArrayLike) -> Vector:
    """Return the normalised discounted cumulated gain of each list.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (ACM Transactions on
    Information Systems 20, 2002): a row gains its relevance, divided by log2(1 + its rank), and the
    list's sum is divided by that of the best order. Rows of equal score share their places, as in
    McSherry and Najork, "Computing information retrieval performance measures efficiently in the
    presence of tied scores" (ECIR 2008): the mean over all orders in which they could stand.

    Args:
        relevance: What a row was worth, at least 0, `(n_rows,)`.
        score: Rows are ranked by falling score, `(n_rows,)`.
        lists: Which list a row belongs to; numbers or texts, in any order, `(n_rows,)`.

    Returns:
        0 to 1, one a list in the order of `numpy.unique(lists)`; NaN where nothing in a list is
        relevant, or a value of it is unknown (NaN, or a relevance below 0 or infinite).

    Raises:
        ParameterError: The arrays are not as long as each other.
    """
    gains, scores = vector(relevance), vector(score)
    names = np.asarray(lists)
    require_rows(relevance=gains, score=scores, lists=names)
    _, place = np.unique(names, return_inverse=True)
    count = int(place.max()) + 1 if place.size else 0
    wrong = np.isnan(scores) | ~np.isfinite(gains) | (gains < 0)
    unknown = np.bincount(place[wrong], minlength=count) > 0
    safe = np.where(wrong, 0.0, gains)
    reached = _cumulated(safe, np.where(wrong, 0.0, scores), place, count)
    best = _cumulated(safe, safe, place, count)
    defined = ~unknown & (best > 0)
    result: Vector = np.where(defined, reached / np.where(defined, best, 1.0), np.nan)
    return np.minimum(result, 1.0)  # the best order itself may be a last digit above


def _cumulated(gains: Vector, scores: Vector, place: npt.NDArray[Any], count: int) -> Vector:
    """Return each list's discounted gain when its rows are ranked by falling score."""
    order = np.lexsort((-scores, place))
    gains, scores, place = gains[order], scores[order], place[order]
    starts = np.searchsorted(place, np.arange(count))
    discount = 1.0 / np.log2(np.arange(place.size) - starts[place] + 2.0)
    new = np.ones(place.size, dtype=bool)
    new[1:] = (place[1:] != place[:-1]) | (scores[1:] != scores[:-1])
    tied = np.cumsum(new) - 1
    shared = np.bincount(tied, weights=gains) / np.bincount(tied) if tied.size else gains
    sums = np.bincount(place, weights=shared[tied] * discount, minlength=count)
    return sums.astype(np.float64)
