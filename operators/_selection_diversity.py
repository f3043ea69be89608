"""This module spreads a choice over what the rows are like: k-means++ on features and texts.

Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (SODA 2007): each next item
is drawn by its squared distance to the nearest one that is taken or labelled. Unlike the farthest
point it does not run after outliers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_CHUNK = 256


def spread(
    matrix: Any, count: int, *, taken: Any, weights: Floats | None, rng: np.random.Generator
) -> Rows:
    """Return `count` rows that are unlike each other and unlike those that are taken, in order.

    Args:
        matrix: The candidates, one row each; the first is taken where nothing else decides.
        count: How many, at most as many as there are.
        taken: Rows of the same columns that are labelled already.
        weights: How much each candidate would tell; None for all alike.
        rng: Draws.
    """
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    nearest = _nearest(matrix, squares, taken)
    weights = np.ones(len(squares)) if weights is None else weights
    open_ = np.ones(len(squares), dtype=bool)
    chosen: list[int] = []
    for _ in range(count):
        if np.isinf(nearest).any():
            pick = 0  # nothing is taken yet
        else:
            pull = np.where(open_, nearest * weights, 0.0)
            total = pull.sum()
            pick = (
                int(np.searchsorted(np.cumsum(pull), rng.random() * total, side="right"))
                if total > 0
                else int(open_.argmax())  # copies of what is taken are all that is left
            )
            pick = min(pick, len(pull) - 1)
            if not open_[pick]:
                pick = int(open_.argmax())
        chosen.append(pick)
        open_[pick] = False
        center = matrix[pick]
        away = squares + squares[pick] - 2 * np.asarray((matrix @ center.T).todense()).ravel()
        nearest = np.minimum(nearest, np.maximum(away, 0.0))
    return np.array(chosen, dtype=np.int64)


def _nearest(matrix: Any, squares: Floats, taken: Any) -> Floats:
    nearest = np.full(matrix.shape[0], np.inf)
    for start in range(0, taken.shape[0], _CHUNK):
        centers = taken[start : start + _CHUNK]
        of_centers = np.asarray(centers.multiply(centers).sum(axis=1)).ravel()
        away = squares[:, None] + of_centers - 2 * np.asarray((matrix @ centers.T).todense())
        nearest = np.minimum(nearest, np.maximum(away, 0.0).min(axis=1))
    return nearest
