"""This module holds fitted trees of any library in one form, which other forms are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """This is one tree: arrays of one entry a node, the root first.

    Args:
        left: Where a row goes that fulfils the node's condition; -1 in a leaf.
        right: Where any other row goes; -1 in a leaf.
        feature: Position of the feature that is asked.
        threshold: What a numeric feature is compared with.
        missing_left: Whether a row goes left whose value is not known.
        members: Node to the categories that go left, for nodes that ask a category.
        answer: What a leaf adds to the sum.
    """

    left: Integers
    right: Integers
    feature: Integers
    threshold: Floats
    missing_left: npt.NDArray[np.bool_]
    members: Mapping[int, frozenset[int]]
    answer: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees:
    """These are the trees whose leaves are summed.

    Args:
        trees: The trees, in the order of the sum.
        base: What the sum begins with.
        strict: A row goes left when its value is below the threshold; else also when it is equal.
        sigmoid: The sum is a log-odds; else it is the answer.
        sizes: Number of categories of each feature, 0 for a number.
    """

    trees: tuple[Tree, ...]
    base: float
    strict: bool
    sizes: tuple[int, ...]
    sigmoid: bool

    def thresholds(self) -> dict[int, Floats]:
        """Return the distinct thresholds of each numeric feature, by its position."""
        found: dict[int, list[Floats]] = {}
        for tree in self.trees:
            numeric = tree.left >= 0
            numeric[list(tree.members)] = False
            for feature in np.unique(tree.feature[numeric]).tolist():
                asked = tree.threshold[numeric & (tree.feature == feature)]
                found.setdefault(feature, []).append(asked)
        return {feature: np.unique(np.concatenate(parts)) for feature, parts in found.items()}


def rounded_down(thresholds: npt.NDArray[np.float64]) -> Floats:
    """Return the largest 32-bit numbers that are not above the thresholds.

    A 32-bit value is at most a threshold exactly when it is at most the threshold rounded down, so
    that no value changes sides; rounding to the nearest may put the threshold above it.
    """
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))  # below the smallest is minus infinity
    return np.where(nearest > thresholds, below, nearest).astype(np.float32)
