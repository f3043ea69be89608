"""This module reads the trees out of scikit-learn's boosting and forests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.models import ModelCard
from operators._skops_bytes import read_estimator
from operators._trees import Integers, Tree, Trees, rounded_down

_BITS = 32


def sklearn_trees(card: ModelCard, content: bytes) -> Trees | None:
    """Return the trees of a scikit-learn estimator; None when it has none.

    Args:
        card: The model's card.
        content: The estimator in skops' format.
    """
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    estimator = read_estimator(content)
    kind = type(estimator)  # one that was imported may be any, and many have `estimators_`
    if kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        return _boosted_trees(card, estimator)
    forests = (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    return _forest_trees(card, estimator) if kind in forests else None


def _boosted_trees(card: ModelCard, boosting: Any) -> Trees:
    features, shown = _before_encoding(boosting, card)
    return Trees(
        trees=tuple(
            _boosted_tree(predictor, card, features, shown) for (predictor,) in boosting._predictors
        ),
        base=float(np.ravel(boosting._baseline_prediction)[0]),
        strict=False,
        sizes=tuple(len(f.categories or ()) for f in card.features),
        sigmoid=card.task == "classification",
    )


def _before_encoding(boosting: Any, card: ModelCard) -> tuple[Integers, dict[int, list[int]]]:
    """Return the feature behind each column that the trees see, and a feature's category by code.

    scikit-learn puts the categories first and numbers anew those that training showed.
    """
    if boosting._preprocessor is None:
        return np.arange(len(card.features)), {}
    categories = np.flatnonzero(boosting.is_categorical_)
    numbers = np.flatnonzero(~boosting.is_categorical_)
    encoder = boosting._preprocessor.named_transformers_["encoder"]
    shown = {
        feature: found[~np.isnan(found)].astype(int).tolist()
        for feature, found in zip(categories.tolist(), encoder.categories_, strict=True)
    }
    return np.concatenate([categories, numbers]), shown


def _boosted_tree(
    predictor: Any, card: ModelCard, features: Integers, shown: Mapping[int, list[int]]
) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = features[nodes["feature_idx"]]
    missing_left = nodes["missing_go_to_left"].astype(bool)
    members = {}
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf).tolist():
        known = shown[feature[node]]
        goes = {known[code] for code in _codes(predictor, nodes["bitset_idx"][node])}
        if missing_left[node]:  # a category that training never showed goes where nulls go
            goes |= set(range(len(card.features[feature[node]].categories or ()))) - set(known)
        members[node] = frozenset(goes)
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        feature=feature,
        threshold=rounded_down(nodes["num_threshold"]),
        missing_left=missing_left,
        members=members,
        answer=nodes["value"].astype(np.float64),
    )


def _codes(predictor: Any, bitset: int) -> list[int]:
    words = predictor.raw_left_cat_bitsets[bitset].tolist()
    return [
        word * _BITS + bit
        for word, value in enumerate(words)
        for bit in range(_BITS)
        if value >> bit & 1
    ]


def _forest_trees(card: ModelCard, forest: Any) -> Trees:
    share = 1.0 / len(forest.estimators_)
    return Trees(
        trees=tuple(_forest_tree(each.tree_, share) for each in forest.estimators_),
        base=0.0,
        strict=False,
        sizes=tuple(0 for _ in card.features),  # a forest takes codes for numbers
        sigmoid=False,
    )


def _forest_tree(tree: Any, share: float) -> Tree:
    # of two classes the last column is the positive one's share; an estimate has one column
    answers = tree.value[:, 0, -1]
    return Tree(
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        feature=np.maximum(tree.feature, 0).astype(np.int64),
        threshold=rounded_down(tree.threshold),
        missing_left=tree.missing_go_to_left.astype(bool),
        members={},
        answer=answers.astype(np.float64) * share,
    )
