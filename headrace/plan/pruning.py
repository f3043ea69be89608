"""This module finds out which nodes of a plan anybody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.plan.graph import Node, Ref


def needed_nodes(
    nodes: Mapping[str, Node], results: Sequence[Ref]
) -> tuple[frozenset[str], list[str]]:
    """Return the paths that effects and results need, and those that nobody does.

    Args:
        nodes: All recorded nodes by path.
        results: What the flow returns.

    Returns:
        The needed paths, and the others in order of recording.
    """
    waiting = [path for path, node in nodes.items() if node.effect]
    waiting += [ref.node for ref in results]
    needed: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting.extend(nodes[path].upstream())
    return frozenset(needed), [path for path in nodes if path not in needed]
