"""This module takes any model's answers apart by asking it: Shapley values by permutations.

A row's features replace those of a reference row one by one, in a random order; a feature's
contribution is by how much the answer moves when its turn comes, on average over orders and
reference rows (Strumbelj and Kononenko 2014). Each order is also gone through backwards, which
halves the error for nothing where features do not interact (Mitchell et al. 2022). Along an order
the moves add up to the whole way, so the contributions add up exactly, however few the orders.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators._contributions import Contributions, Explain, Space
from operators._encoding import Matrix
from operators._timing import Scores

_PAIRS = 16  # orders for each reference row, each gone through both ways


def sampled_contributions(scores: Scores, reference: Matrix, space: Space, *, seed: int) -> Explain:
    """Return what takes the answers of any scoring function apart.

    The same row gives the same contributions, whatever it is explained with.

    Args:
        scores: From encoded rows to answers.
        reference: Encoded rows that answers are compared with.
        space: What the answers are.
        seed: Of the orders.
    """
    orders = _orders(reference.shape[1], _PAIRS * len(reference), seed)
    # turns[o, j]: the step of order o after which feature j is the row's own
    turns = np.argsort(orders, axis=1)
    steps = np.arange(orders.shape[1] + 1)
    own = steps[None, :, None] > turns[:, None, :]  # (orders, steps, features)
    backgrounds = reference[np.arange(len(orders)) // 2 % len(reference)]

    def explain_one(row: Matrix) -> Contributions:
        asked = np.where(own, row[None, None, :], backgrounds[:, None, :])
        answers = scores(asked.reshape(-1, asked.shape[2])).reshape(asked.shape[:2])
        moves = np.diff(answers, axis=1)  # (orders, features by turn)
        return Contributions(
            method="sampled",
            space=space,
            base=float(answers[:, 0].mean()),
            values=np.take_along_axis(moves, turns, axis=1).mean(axis=0),
        )

    return lambda matrix: [explain_one(row) for row in matrix]


def _orders(features: int, pairs: int, seed: int) -> npt.NDArray[np.intp]:
    """Return orders of the features, each followed by itself backwards."""
    random = np.random.default_rng(seed)
    forwards = np.argsort(random.random((pairs, features)), axis=1)
    return np.stack([forwards, forwards[:, ::-1]], axis=1).reshape(2 * pairs, features)
