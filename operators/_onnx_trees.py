"""This module writes trees as an ONNX graph that ONNX Runtime answers in microseconds.

ONNX trees know no sets of categories, but ONNX Runtime merges a chain of comparisons with whole
numbers from 1 to 32 that all lead to one node into a single test of a bit mask. So the categories
of a feature are dealt to groups of 32, each with a column of its own, and a set becomes at most as
many masks as the feature has groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from operators._onnx_tree_nodes import GROUP, Nodes, add_tree
from operators._trees import Trees


def trees_graph(trees: Trees) -> tuple[list[Any], list[Any]]:
    """Return the ONNX nodes and constants of trees, from input "rows" to output "score".

    Args:
        trees: The trees; a category's null is a NaN in "rows".
    """
    from onnx import helper

    columns, nodes, constants = _grouped_columns(trees.sizes)
    found = Nodes()
    for number, tree in enumerate(trees.trees):
        add_tree(found, number, tree, trees, columns)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["wide"],
        ["sum" if trees.sigmoid else "score"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        base_values=[trees.base],
        nodes_treeids=found.tree,
        nodes_nodeids=found.node,
        nodes_featureids=found.feature,
        nodes_modes=found.mode,
        nodes_values=found.value,
        nodes_truenodeids=found.yes,
        nodes_falsenodeids=found.no,
        nodes_missing_value_tracks_true=found.missing_yes,
        target_treeids=found.leaf_tree,
        target_nodeids=found.leaf_node,
        target_ids=[0] * len(found.answer),
        target_weights=found.answer,
    )
    nodes.append(ensemble)
    if trees.sigmoid:
        nodes.append(helper.make_node("Sigmoid", ["sum"], ["score"]))
    return nodes, constants


def _grouped_columns(sizes: tuple[int, ...]) -> tuple[dict[int, int], list[Any], list[Any]]:
    """Return where the groups of each category feature begin, and what makes the column "wide".

    A group's column is the code less what comes before the group, from 1; a null counts as one more
    category after the last, so that the trees meet no NaN there.
    """
    from onnx import helper, numpy_helper

    categories = [feature for feature, size in enumerate(sizes) if size]
    if not categories:
        return {}, [helper.make_node("Identity", ["rows"], ["wide"])], []
    first: dict[int, int] = {}
    owner: list[int] = []
    before: list[int] = []
    for position, feature in enumerate(categories):
        first[feature] = len(sizes) + len(owner)
        for start in range(0, sizes[feature] + 1, GROUP):
            owner.append(position)
            before.append(start - 1)
    null = [[float(sizes[feature]) for feature in categories]]
    constants = [
        numpy_helper.from_array(np.asarray(categories, dtype=np.int64), "categories"),
        numpy_helper.from_array(np.asarray(null, dtype=np.float32), "null"),
        numpy_helper.from_array(np.asarray(owner, dtype=np.int64), "owner"),
        numpy_helper.from_array(np.asarray([before], dtype=np.float32), "before"),
    ]
    nodes = [
        helper.make_node("Gather", ["rows", "categories"], ["codes"], axis=1),
        helper.make_node("IsNaN", ["codes"], ["missing"]),
        helper.make_node("Where", ["missing", "null", "codes"], ["known"]),
        helper.make_node("Gather", ["known", "owner"], ["repeated"], axis=1),
        helper.make_node("Sub", ["repeated", "before"], ["groups"]),
        helper.make_node("Concat", ["rows", "groups"], ["wide"], axis=1),
    ]
    return first, nodes, constants
