"""This module holds a piece of lineage as a value that prints, draws and serialises."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True, kw_only=True)
class GraphNode:
    """This is an artifact or an invocation in a graph.

    Args:
        id: The artifact's digest, or the invocation's id.
        sort: `artifact` or `invocation`.
        label: The artifact's kind, or the invocation's operator.
        detail: A few words more: rows, or state, node and run.
        attributes: What is known of it, JSON-like.
    """

    id: str
    sort: Literal["artifact", "invocation"]
    label: str
    detail: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GraphEdge:
    """This leads from what was first to what came of it.

    Args:
        earlier: The id of the first node.
        later: The id of the second node.
        sort: `input`, `output`, `reuse` (from the invocation that executed to the one that was
            cached) or `repeat` (from a cached invocation to what it passed on).
        name: The input parameter or the output slot; empty for `reuse`.
    """

    earlier: str
    later: str
    sort: str
    name: str


@dataclass(frozen=True, kw_only=True)
class LineageGraph:
    """This is all that led to a node, or all that came of it.

    Args:
        root: The id of the node that was asked about.
        direction: `up` to what led to it, `down` to what came of it.
        nodes: Every node once, causes before what came of them.
        edges: Every edge between these nodes that the walk followed.
    """

    root: str
    direction: Direction
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]

    def table(self) -> str:
        """Return one line for each node, causes first, with where it came from."""
        names = {node.id: _short(node) for node in self.nodes}
        sources: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            sources[edge.later].append(_source(edge, names[edge.earlier]))
        rows = [("", "what", "id", "detail", "from")] + [
            (
                "*" if node.id == self.root else "",
                node.label,
                node.id[:12],
                node.detail,
                ", ".join(sources[node.id]),
            )
            for node in self.nodes
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]])
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)

    def mermaid(self) -> str:
        """Return the graph as Mermaid, left to right: artifacts round, invocations square."""
        ids = {node.id: f"n{position}" for position, node in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for node in self.nodes:
            text = _quoted("<br/>".join(filter(None, [node.label, node.id[:12], node.detail])))
            shape = f"([{text}])" if node.sort == "artifact" else f"[{text}]"
            lines.append(f"    {ids[node.id]}{shape}")
        for edge in self.edges:
            arrow = "-.->" if edge.sort in ("reuse", "repeat") else "-->"
            label = _quoted("reused" if edge.sort == "reuse" else edge.name)
            lines.append(f"    {ids[edge.earlier]} {arrow}|{label}| {ids[edge.later]}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the graph as JSON-like data."""
        return {
            "root": self.root,
            "direction": self.direction,
            "nodes": [asdict(node) for node in self.nodes],
            "edges": [asdict(edge) for edge in self.edges],
        }


def causes_first(nodes: list[GraphNode], edges: list[GraphEdge]) -> tuple[GraphNode, ...]:
    """Order nodes so that causes come before what came of them.

    An operator that returns its input unchanged makes a circle (its input is its output); a circle
    is entered at its first node.
    """
    waiting = {node.id: 0 for node in nodes}
    after: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        waiting[edge.later] += 1
        after[edge.earlier].append(edge.later)
    ready = [node.id for node in reversed(nodes) if not waiting[node.id]]
    rest = iter([node.id for node in nodes])
    order: list[str] = []
    done: set[str] = set()
    while len(order) < len(nodes):
        current = ready.pop() if ready else next(rest)
        if current in done:
            continue
        done.add(current)
        order.append(current)
        for later in after[current]:
            waiting[later] -= 1
            if waiting[later] == 0:
                ready.append(later)
    by_id = {node.id: node for node in nodes}
    return tuple(by_id[name] for name in order)


def _short(node: GraphNode) -> str:
    return f"{node.label} {node.id[:12]}"


def _source(edge: GraphEdge, name: str) -> str:
    return f"reused {name}" if edge.sort == "reuse" else f"{edge.name}={name}"


def _quoted(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("&lt;br/&gt;", "<br/>")
    return f'"{escaped}"'
