"""This module writes trees as an ONNX graph that ONNX Runtime answers in microseconds.

ONNX trees know no sets of categories, but ONNX Runtime merges a chain of comparisons with whole
numbers from 1 to 32 that all lead to one node into a single test of a bit mask. So the categories
of a feature are dealt to groups of 32, each with a column of its own, and a set becomes at most as
many masks as the feature has groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from operators._trees import Tree, Trees

_GROUP = 32


@dataclass(kw_only=True, eq=False)
class _Nodes:
    """These are the nodes of all trees as the operator wants them: a list for each attribute."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    missing_yes: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)

    def add(
        self,
        place: tuple[int, int],
        *,
        mode: str,
        feature: int = 0,
        value: float = 0.0,
        goes: tuple[int, int] = (0, 0),
        missing_yes: bool = False,
    ) -> None:
        """Add one node; `goes` is where yes and no lead."""
        self.tree.append(place[0])
        self.node.append(place[1])
        self.feature.append(feature)
        self.mode.append(mode)
        self.value.append(value)
        self.yes.append(goes[0])
        self.no.append(goes[1])
        self.missing_yes.append(int(missing_yes))


def trees_graph(trees: Trees) -> tuple[list[Any], list[Any]]:
    """Return the ONNX nodes and constants from input "rows" `(n, features)` to "score" `(n, 1)`.

    Args:
        trees: The trees; a category's null is a NaN in "rows".
    """
    from onnx import helper

    columns, nodes, constants = _grouped_columns(trees.sizes)
    found = _Nodes()
    for number, tree in enumerate(trees.trees):
        _add_tree(found, number, tree, trees, columns)
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
        for start in range(0, sizes[feature] + 1, _GROUP):
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


def _add_tree(
    found: _Nodes, number: int, tree: Tree, trees: Trees, columns: dict[int, int]
) -> None:
    below = "BRANCH_LT" if trees.strict else "BRANCH_LEQ"
    free = len(tree.left)  # numbers of nodes from here on are for chains
    for node, (left, right) in enumerate(zip(tree.left.tolist(), tree.right.tolist(), strict=True)):
        if left < 0:
            found.add((number, node), mode="LEAF")
            found.leaf_tree.append(number)
            found.leaf_node.append(node)
            found.answer.append(float(tree.answer[node]))
            continue
        feature = int(tree.feature[node])
        if node not in tree.members:
            found.add(
                (number, node),
                mode=below,
                feature=feature,
                value=float(tree.threshold[node]),
                goes=(left, right),
                missing_yes=bool(tree.missing_left[node]),
            )
            continue
        size = trees.sizes[feature]
        goes_left = set(tree.members[node]) | ({size} if tree.missing_left[node] else set())
        goes_right = set(range(size + 1)) - goes_left
        # the side with fewer groups, and so fewer masks, is looked for
        asked, yes, no = min(
            (sorted(goes_left), left, right),
            (sorted(goes_right), right, left),
            key=lambda side: (len({c // _GROUP for c in side[0]}), len(side[0])),
        )
        place = node
        for category, following in _chained(asked, free, no):
            found.add(
                (number, place),
                mode="BRANCH_EQ",
                feature=columns[feature] + category // _GROUP,
                value=float(category % _GROUP + 1),
                goes=(yes, following),
            )
            place = following
        free += len(asked) - 1


def _chained(asked: list[int], free: int, no: int) -> Iterable[tuple[int, int]]:
    """Return each category with the number of the node to ask next, `no` after the last."""
    following = [*range(free, free + len(asked) - 1), no]
    return zip(asked, following, strict=True)
