"""This module shows a plan as a table, as a Mermaid flowchart and as JSON."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.plan.graph import Node, Plan

_CELL = 44  # columns of text in a cell: four cells fit a wide terminal


def table(plan: Plan, status: Mapping[str, str] | None = None) -> str:
    """Return the plan as a plain-text table, one node a line, with edges and problems below."""
    header = ["node", "takes", "makes"] + (["now"] if status else [])
    rows = [header]
    for node in plan.nodes:
        row = [_title(node), _takes(node), _makes(node)]
        rows.append([*row, status.get(node.path, "")] if status else row)
    lines = _aligned(rows)
    unchecked = [f"{e.source} → {e.target}.{e.input}" for e in plan.edges if not e.checked]
    if unchecked:
        lines += ["", "Unchecked until run:", *(f"  {e}" for e in unchecked)]
    if plan.warnings:
        lines += ["", "Warnings:", *(f"  {w}" for w in plan.warnings)]
    if plan.problems:
        lines += ["", f"Problems ({len(plan.problems)}):", *(str(p) for p in plan.problems)]
    return "\n".join(lines)


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return rows in columns; a cell that is too wide goes on below."""
    wrapped = [
        [
            textwrap.wrap(cell, _CELL, break_long_words=False, break_on_hyphens=False) or [""]
            for cell in row
        ]
        for row in rows
    ]
    widths = [
        max(len(line) for cell in column for line in cell) for column in zip(*wrapped, strict=True)
    ]
    lines = ["  ".join("─" * width for width in widths)]
    for row in wrapped:
        for parts in itertools.zip_longest(*row, fillvalue=""):
            cells = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
    lines[0], lines[1] = lines[1], lines[0]
    return lines


def _title(node: Node) -> str:
    mapped = f" for each {node.over}" if node.over else ""
    conditions = "".join(f" [{c}]" for c in node.conditions)
    return f"{node.path}{mapped}{conditions}"


def _takes(node: Node) -> str:
    inputs = [f"{name}={', '.join(map(str, refs))}" for name, refs in node.inputs.items()]
    return "; ".join(inputs) or "-"


def _makes(node: Node) -> str:
    made = []
    for symbol in node.outputs.values():
        columns = f" ({len(symbol.schema.columns)} columns)" if symbol.schema else ""
        model = symbol.kind in ("Model", "SelectedModel")
        kind = f"Partitions[{symbol.kind}]" if symbol.partitioned else symbol.kind
        made.append(kind if model else f"{kind}{columns}")
    return ", ".join(made) or "-"


def mermaid(plan: Plan, status: Mapping[str, str] | None = None) -> str:
    """Return the plan as Mermaid; cached nodes are dashed, effects are drawn as boxes in boxes."""
    ids = {node.path: f"n{i}" for i, node in enumerate(plan.nodes)}
    lines = ["flowchart TD"]
    for node in plan.nodes:
        label = re.sub(r'["\[\]{}|]', "'", node.path)
        shape = f'[["{label}"]]' if node.effect else f'["{label}"]'
        lines.append(f"  {ids[node.path]}{shape}")
    for edge in plan.edges:
        arrow = "-->" if edge.checked else "-. unchecked .->"
        source = edge.source.slot if edge.source.slot != "result" else edge.input
        text = f"|{source}|" if edge.checked else ""
        lines.append(f"  {ids[edge.source.node]} {arrow}{text} {ids[edge.target]}")
    for node in plan.nodes:
        for condition in node.conditions:
            word = "passed" if condition.expected else "not passed"
            lines.append(f"  {ids[condition.ref.node]} -. {word} .-> {ids[node.path]}")
    cached = [ids[p] for p, s in (status or {}).items() if s.startswith("cached") and p in ids]
    if cached:
        lines.append("  classDef cached stroke-dasharray: 4 3,color:#666")
        lines.append(f"  class {','.join(cached)} cached")
    return "\n".join(lines)


def as_json(plan: Plan, status: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the plan as JSON-like data for scripts."""
    return {
        "flow": plan.flow,
        "parameters": dict(plan.parameters),
        "seed": plan.seed,
        "nodes": [_node(node, status) for node in plan.nodes],
        "edges": [
            {
                "from": str(e.source),
                "to": e.target,
                "input": e.input,
                "checked": e.checked,
            }
            for e in plan.edges
        ],
        "problems": [
            {"rule": p.rule, "problem": p.problem, "remedy": p.remedy, "location": str(p.location)}
            for p in plan.problems
        ],
        "warnings": list(plan.warnings),
        "pruned": list(plan.pruned),
    }


def _node(node: Node, status: Mapping[str, str] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "path": node.path,
        "operator": "" if node.operator is None else f"{node.operator.module}.{node.operator.name}",
        "inputs": {name: [str(r) for r in refs] for name, refs in node.inputs.items()},
        "outputs": {name: symbol.kind for name, symbol in node.outputs.items()},
        "effect": node.effect,
        "location": str(node.location),
        "conditions": [str(c) for c in node.conditions],
    }
    if status is not None:
        described["now"] = status.get(node.path, "")
    return described
