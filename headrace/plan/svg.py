"""This module draws a plan as SVG that stands alone: no library, no script, no network."""

from __future__ import annotations

import itertools
import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from headrace.plan.layers import Box, Link
from headrace.plan.layout import Layout, Place, Point, layout

if TYPE_CHECKING:
    from headrace.plan.graph import Node, Plan

_MARGIN, _PADDING, _LEAST_WIDTH = 28, 12, 120
_NAME, _SMALL, _PORT_LABEL, _HEADING = 13, 11, 10, 19  # font sizes, px
_LINE = 16  # from one line of a box to the next, px
_EM = 0.62  # the widest letter of the common fixed-width fonts, of the font size
_PROPORTIONAL = 0.88  # an English phrase in a proportional font, of its fixed width
_NOW = 30  # letters of a line that says what a run would do; the tooltip has it whole
_LONGEST_WORD = 48  # letters: the name of a node upstream is rarely longer
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not in XML
_STYLES = {
    "cached": "cached",
    "runs": "will run",
    "pure": "computes",
    "effect": "effect: changes something outside",
    "given": "handed in",
    "fails": "will fail",
}
_CSS = (
    "text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1b2733}"
    ".sans{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif}"
    ".quiet{fill:#4a5866}.port{fill:#3a4a5a;font-style:italic}"
    ".cached{fill:#eef1f4;stroke:#7a8794}"
    ".runs,.pure{fill:#dcebfb;stroke:#2466a8}"
    ".effect{fill:#ffe9cc;stroke:#b05c00;stroke-width:2.5}"
    ".given{fill:#fff;stroke:#7a8794}"
    ".fails{fill:#fde0e0;stroke:#b3202c;stroke-width:2.5}"
    ".edge{fill:none;stroke:#5b6875;stroke-width:1.4}.late{stroke-dasharray:5 4}"
    ".edge:hover{stroke:#c2185b;stroke-width:3}"
)


@dataclass(frozen=True, kw_only=True)
class _Face:
    """This is what stands in a node's box: lines of text, with the class and the size of each."""

    lines: tuple[tuple[str, str, int], ...]
    style: str
    tooltip: str

    @property
    def width(self) -> float:
        wide = max(_width(text, size) for text, _, size in self.lines)
        return max(_LEAST_WIDTH, wide + 2 * _PADDING)

    @property
    def height(self) -> float:
        return _LINE * len(self.lines) + _PADDING


@dataclass(frozen=True, kw_only=True)
class _Port:
    """This is where lines leave a box; dashed if what flows is only checked at the run."""

    label: str
    dashed: bool

    @property
    def key(self) -> str:
        return f"{self.label} {'late' if self.dashed else 'checked'}"


def svg(plan: Plan, status: Mapping[str, str] | None = None) -> str:
    """Return the plan as a standalone SVG document, layers from top to bottom.

    Args:
        plan: The plan.
        status: Node path to what a run would do. It colours the boxes and stands in them, cut after
            two lines; the tooltip of a box has it whole.
    """
    faces = {node.path: _face(node, status) for node in plan.nodes}
    ports, tooltips = _links(plan)
    placed = layout(
        [
            Box(
                name=path,
                width=face.width,
                height=face.height,
                ports={
                    key: _width(port.label, _PORT_LABEL)
                    for (source, key), port in ports.items()
                    if source == path
                },
            )
            for path, face in faces.items()
        ],
        list(tooltips),
    )
    heading, legend_width, top = _heading(plan, faces, any(p.dashed for p in ports.values()))
    width = round(max(placed.width, legend_width) + 2 * _MARGIN)
    height = round(placed.height + top + _MARGIN)
    left = (width - placed.width) / 2
    body = [_edge(placed.routes[k], t, ports[k.source, k.port]) for k, t in tooltips.items()]
    body += [_box(face, placed.places[path]) for path, face in faces.items()]
    body += _port_labels(placed, ports)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{_text(plan.flow)}</title><style>{_CSS}</style>'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 .5L8 4L0 7.5z" fill="#5b6875"/></marker></defs>'
        f'<rect class="paper" width="{width}" height="{height}" fill="#fff"/>'
        f'{heading}<g transform="translate({left:.1f} {top})">{"".join(body)}</g></svg>\n'
    )


def _face(node: Node, status: Mapping[str, str] | None) -> _Face:
    now = (status or {}).get(node.path, "")
    kinds = [f"Partitions[{s.kind}]" if s.partitioned else s.kind for s in node.outputs.values()]
    lines = [(node.path, "name", _NAME)]
    if node.over:
        lines.append((f"for each {node.over}", "quiet", _SMALL))
    lines += [(line, "quiet", _SMALL) for line in _wrapped(kinds, len(node.path))]
    room = max([_NOW, *(min(len(word), _LONGEST_WORD) for word in now.split())])
    told = textwrap.wrap(now, room, max_lines=2, placeholder=" …", break_on_hyphens=False)
    lines += [(line, "sans", _SMALL) for line in told]
    return _Face(
        lines=tuple(lines),
        style=_style(node, now, known=status is not None),
        tooltip=f"{node.path}: {now}" if now else node.path,
    )


def _style(node: Node, now: str, *, known: bool) -> str:
    if now.startswith("cached"):
        return "cached"
    if now.startswith("will fail"):
        return "fails"
    if node.effect:
        return "effect"
    if node.operator is None:
        return "given"
    return "runs" if known else "pure"


def _wrapped(kinds: Sequence[str], room: int) -> list[str]:
    """Return kinds on one line if they are hardly longer than the room, else on two."""
    line = ", ".join(kinds)
    if len(kinds) < 2 or len(line) <= max(room, _NOW):
        return [line] if line else []
    cuts = [(", ".join(kinds[:i]) + ",", ", ".join(kinds[i:])) for i in range(1, len(kinds))]
    return list(min(cuts, key=lambda cut: max(map(len, cut))))


def _links(plan: Plan) -> tuple[dict[tuple[str, str], _Port], dict[Link, str]]:
    """Return the ports that lines leave from, and the lines with what each carries."""
    ports: dict[tuple[str, str], _Port] = {}
    carried: dict[Link, list[str]] = {}
    for edge in plan.edges:
        label = "" if edge.source.slot == "result" else edge.source.slot
        port = _Port(label=label, dashed=not edge.checked)
        ports[edge.source.node, port.key] = port
        link = Link(source=edge.source.node, port=port.key, target=edge.target)
        unchecked = "" if edge.checked else " (unchecked until run)"
        carried.setdefault(link, []).append(
            f"{edge.source} → {edge.target}, {edge.input}{unchecked}"
        )
    for node in plan.nodes:
        for condition in node.conditions:
            slot = "" if condition.ref.slot == "result" else f"{condition.ref.slot} "
            word = "passed" if condition.expected else "not passed"
            port = _Port(label=slot + word, dashed=True)
            ports[condition.ref.node, port.key] = port
            link = Link(source=condition.ref.node, port=port.key, target=node.path)
            carried.setdefault(link, []).append(f"{node.path} {condition}")
    return ports, {link: "\n".join(dict.fromkeys(lines)) for link, lines in carried.items()}


def _heading(plan: Plan, faces: Mapping[str, _Face], dashed: bool) -> tuple[str, float, int]:
    """Return the title and the legend of what occurs, with their width and the room they take."""
    present = {face.style for face in faces.values()}
    counts = [f"{len(faces)} {'node' if len(faces) == 1 else 'nodes'}"]
    if plan.problems:
        many = "s" if len(plan.problems) > 1 else ""
        counts.append(f"{len(plan.problems)} problem{many}: it cannot run")
    drawn = [
        f'<text x="{_MARGIN}" y="{_MARGIN + 12}" class="sans" font-size="{_HEADING}" '
        f'font-weight="bold">{_text(plan.flow)}<tspan class="quiet" font-size="{_NAME}" '
        f'font-weight="normal" dx="12">{_text(", ".join(counts))}</tspan></text>'
    ]
    x, y = float(_MARGIN), _MARGIN + 36
    for style, meaning in _STYLES.items():
        if style in present:
            drawn.append(
                f'<rect class="{style}" x="{x:.1f}" y="{y - 10}" width="20" height="13" rx="3"/>'
                f'<text x="{x + 27:.1f}" y="{y + 1}" class="sans" font-size="12">{meaning}</text>'
            )
            x += 27 + _width(meaning, 12) * _PROPORTIONAL + 20
    if dashed:
        drawn.append(
            f'<path class="edge late" d="M{x:.1f} {y - 3}h28"/><text x="{x + 35:.1f}" y="{y + 1}" '
            'class="sans" font-size="12">a condition, or unchecked until run</text>'
        )
        x += 35 + _width("a condition, or unchecked until run", 12) * _PROPORTIONAL
    heading = _width(plan.flow, _HEADING) + 12 + _width(", ".join(counts), _NAME)
    return "".join(drawn), max(x - _MARGIN, heading), y + 34


def _edge(points: Sequence[Point], tooltip: str, port: _Port) -> str:
    drawn = [f"M{points[0].x:.1f} {points[0].y:.1f}"]
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        middle = (y1 + y2) / 2
        curve = f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
        drawn.append(curve if abs(x1 - x2) > 0.05 else f"L{x2:.1f} {y2:.1f}")
    late = " late" if port.dashed else ""
    return (
        f'<path class="edge{late}" d="{"".join(drawn)}" marker-end="url(#arrow)">'
        f"<title>{_text(tooltip)}</title></path>"
    )


def _box(face: _Face, place: Place) -> str:
    above = (place.height - _LINE * len(face.lines)) / 2
    texts = []
    for number, (line, kind, size) in enumerate(face.lines):
        y = place.y + above + _LINE * number + 12
        bold = ' font-weight="bold"' if kind == "name" else ""
        texts.append(
            f'<text x="{place.x + place.width / 2:.1f}" y="{y:.1f}" class="{kind}" '
            f'font-size="{size}"{bold} text-anchor="middle">{_text(line)}</text>'
        )
    return (
        f'<g class="node"><title>{_text(face.tooltip)}</title><rect class="{face.style}" '
        f'x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="6"/>{"".join(texts)}</g>'
    )


def _port_labels(placed: Layout, ports: Mapping[tuple[str, str], _Port]) -> list[str]:
    starts = {(link.source, link.port): route[0] for link, route in placed.routes.items()}
    return [
        f'<text x="{starts[key].x + 4:.1f}" y="{starts[key].y + 11:.1f}" class="port" '
        f'font-size="{_PORT_LABEL}">{_text(port.label)}</text>'
        for key, port in ports.items()
        if port.label
    ]


def _width(text: str, size: int) -> float:
    """Return an upper bound of a text's width in px; wide letters, as of Chinese, count twice."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (len(text) + wide) * _EM * size


def _text(text: str) -> str:
    return escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text))
