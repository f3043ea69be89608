"""This module reads the trees out of a booster of xgboost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from headrace.models import ModelCard
from operators._trees import Tree, Trees

_OBJECTIVES = {"binary:logistic": True, "reg:squarederror": False}


def xgboost_trees(card: ModelCard, content: bytes) -> Trees | None:
    """Return the trees of a booster; None where its answer is not a plain sum of trees.

    Args:
        card: The model's card.
        content: The booster in xgboost's binary format.
    """
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    boosted, objective = learner["gradient_booster"], learner["objective"]["name"]
    if boosted["name"] != "gbtree" or objective not in _OBJECTIVES:
        return None
    base = float(np.ravel(json.loads(learner["learner_model_param"]["base_score"]))[0])
    return Trees(
        trees=tuple(_xgboost_tree(tree, card) for tree in boosted["model"]["trees"]),
        base=float(np.log(base) - np.log1p(-base)) if _OBJECTIVES[objective] else base,
        strict=True,
        sizes=tuple(len(f.categories or ()) for f in card.features),
        sigmoid=_OBJECTIVES[objective],
    )


def _xgboost_tree(tree: dict[str, Any], card: ModelCard) -> Tree:
    # xgboost lists the categories that go right; every other one goes left
    segments = zip(
        tree["categories_nodes"],
        tree["categories_segments"],
        tree["categories_sizes"],
        strict=True,
    )
    members = {}
    for node, start, size in segments:
        known = range(len(card.features[tree["split_indices"][node]].categories or ()))
        members[node] = frozenset(known) - frozenset(tree["categories"][start : start + size])
    values = np.asarray(tree["split_conditions"], dtype=np.float32)
    return Tree(
        left=np.asarray(tree["left_children"], dtype=np.int64),
        right=np.asarray(tree["right_children"], dtype=np.int64),
        feature=np.asarray(tree["split_indices"], dtype=np.int64),
        threshold=values,
        missing_left=np.asarray(tree["default_left"], dtype=bool),
        members=members,
        answer=values.astype(np.float64),
    )
