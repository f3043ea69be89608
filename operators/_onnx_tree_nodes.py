"""This module writes the nodes of trees as the lists that ONNX's tree operator takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from operators._trees import Tree, Trees

GROUP = 32


@dataclass(kw_only=True, eq=False)
class Nodes:
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


def add_tree(found: Nodes, number: int, tree: Tree, trees: Trees, columns: dict[int, int]) -> None:
    """Add one tree; a set of categories becomes a chain of comparisons.

    Args:
        found: Where the nodes are added.
        number: The tree's number.
        tree: The tree.
        trees: What it is one of.
        columns: Category feature to the first of its groups' columns.
    """
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
            key=lambda side: (len({c // GROUP for c in side[0]}), len(side[0])),
        )
        place = node
        for category, following in _chained(asked, free, no):
            found.add(
                (number, place),
                mode="BRANCH_EQ",
                feature=columns[feature] + category // GROUP,
                value=float(category % GROUP + 1),
                goes=(yes, following),
            )
            place = following
        free += len(asked) - 1


def _chained(asked: list[int], free: int, no: int) -> Iterable[tuple[int, int]]:
    """Return each category with the number of the node to ask next, `no` after the last."""
    following = [*range(free, free + len(asked) - 1), no]
    return zip(asked, following, strict=True)
