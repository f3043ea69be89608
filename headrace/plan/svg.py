"""This module draws a plan as SVG: layers from top to bottom, no library, no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from headrace.plan.graph import Plan

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 190, 44, 24, 46, 20
_FILL = {"cached": "#eef2f5", "effect": "#fdf0dd", "pure": "#e4f0e8"}


def svg(plan: Plan, status: Mapping[str, str] | None = None) -> str:
    """Return the plan as a standalone SVG document.

    Args:
        plan: The plan.
        status: Node path to what a run would do; cached nodes are dashed, the text is the tooltip.
    """
    places = _places(plan)
    columns = max((x for x, _ in places.values()), default=0) + 1
    layers = max((y for _, y in places.values()), default=0) + 1
    width = 2 * _MARGIN + columns * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + layers * (_HEIGHT + _GAP_Y) - _GAP_Y
    body = [_edge(places[e.source.node], places[e.target], e.checked) for e in plan.edges]
    for node in plan.nodes:
        body += [_edge(places[c.ref.node], places[node.path], False) for c in node.conditions]
    for node in plan.nodes:
        now = (status or {}).get(node.path, "")
        kind = "cached" if now.startswith("cached") else "effect" if node.effect else "pure"
        made = ", ".join(s.kind for s in node.outputs.values())
        body.append(_box(places[node.path], node.path, made, kind, now))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
        f"<title>{escape(plan.flow)}</title>" + "".join(body) + "</svg>"
    )


def _places(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return node path to (column, layer); a node lies below everything that it waits for."""
    layer: dict[str, int] = {}
    for node in plan.nodes:
        layer[node.path] = 1 + max((layer[p] for p in node.upstream()), default=-1)
    taken: dict[int, int] = {}
    places = {}
    for node in plan.nodes:
        row = layer[node.path]
        places[node.path] = taken.get(row, 0), row
        taken[row] = taken.get(row, 0) + 1
    return places


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    column, layer = place
    return _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + layer * (_HEIGHT + _GAP_Y)


def _edge(source: tuple[int, int], target: tuple[int, int], checked: bool) -> str:
    (x1, y1), (x2, y2) = _corner(source), _corner(target)
    x1, y1, x2 = x1 + _WIDTH // 2, y1 + _HEIGHT, x2 + _WIDTH // 2
    bend = _GAP_Y // 2 if y2 > y1 else -_GAP_Y
    dashed = "" if checked else ' stroke-dasharray="4 3"'
    return (
        f'<path d="M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}" fill="none" '
        f'stroke="#667"{dashed} marker-end="url(#arrow)"/>'
    )


def _box(place: tuple[int, int], title: str, made: str, kind: str, now: str) -> str:
    x, y = _corner(place)
    dashed = ' stroke-dasharray="4 3"' if kind == "cached" else ""
    tooltip = f"<title>{escape(now)}</title>" if now else ""
    shown = title if len(title) <= 28 else f"…{title[-27:]}"
    return (
        f'<g>{tooltip}<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{_FILL[kind]}" stroke="#667"{dashed}/>'
        f'<text x="{x + 10}" y="{y + 18}" font-weight="bold">{escape(shown)}</text>'
        f'<text x="{x + 10}" y="{y + 34}" fill="#556">{escape(made[:32])}</text></g>'
    )
