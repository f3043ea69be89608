"""This module places a graph in rows, top to bottom, so that no line runs under a box.

It is Sugiyama's method in small: a box lies below all that it waits for; a line that passes a row
gets a lane of its own there; the rows are ordered so that few lines cross, and then pushed to where
the lines are straight. Everything that leaves one port shares a lane. The same graph always gives
the same drawing.
"""

from __future__ import annotations

import bisect
import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

_ROW = 10  # boxes in a row; more go below, so that a drawing stays as wide as a screen or two
_LANE, _BETWEEN_LANES, _BETWEEN_BOXES = 4, 10, 26
_PORT, _ARRIVAL = 14, 34  # least room of a line that leaves, usual room of one that arrives
_STUB, _LABELLED_STUB, _ARROW = 2, 16, 8  # how far a line is vertical before and after its curve
_BEND, _HIGHEST_BEND, _SLOPE = 34, 90, 0.09
_SWEEPS, _SETTLINGS = 12, 60


@dataclass(frozen=True, kw_only=True)
class Box:
    """This is a box to be placed.

    Args:
        name: Unique name.
        width: Least width, px.
        height: Least height, px; the boxes of a row get the same.
        ports: Name of each output that lines leave from, to the width of its label; 0 for none.
    """

    name: str
    width: float
    height: float
    ports: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Link:
    """This is a line to be drawn from a port of one box to another box."""

    source: str
    port: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """This is where a box lies: its upper left corner and its size, px."""

    x: float
    y: float
    width: float
    height: float


class Point(NamedTuple):
    """This is a point of a line, px."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """This is a placed graph.

    Args:
        places: Box name to its place.
        routes: Link to the points of its line, downwards; between two points that are not above
            each other the line bends, and no box is at that height.
        width: Extent from 0, px.
        height: Extent from 0, px.
    """

    places: Mapping[str, Place]
    routes: Mapping[Link, tuple[Point, ...]]
    width: float
    height: float


class _Lane(NamedTuple):
    """This is where the lines of a port pass a row."""

    source: str
    port: str
    row: int


_Item = str | _Lane


class _Step(NamedTuple):
    """This is the part of a line between two rows; `port` is that of the box it comes from."""

    above: _Item
    port: str
    below: _Item


def layout(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Return where the boxes and lines of a graph go.

    Args:
        boxes: The boxes, each after all that it is linked from.
        links: The lines, without repetitions.
    """
    row_of = _rows(boxes, links)
    paths = {link: _path(link, row_of) for link in links}
    steps = list(dict.fromkeys(step for link in links for step in _steps(link, paths[link])))
    rows: list[list[_Item]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    for name, row in row_of.items():
        rows[row].append(name)
    lanes = [lane for lane in dict.fromkeys(itertools.chain(*paths.values())) if _is_lane(lane)]
    for lane in lanes:
        rows[lane.row].append(lane)
    rows = _ordered(rows, steps)
    widths: dict[_Item, float] = dict.fromkeys(lanes, _LANE)
    arriving = collections.Counter(step.below for step in steps)
    for box in boxes:
        leaving = sum(_cell(label) for label in box.ports.values())
        widths[box.name] = max(box.width, leaving + _PORT, _PORT * (1 + arriving[box.name]))
    ends = _ends(rows, steps, {box.name: box for box in boxes}, widths)
    centres = _settled(rows, widths, ends)
    _straighten(rows, paths, widths, ends, centres)
    return _drawn(rows, paths, {box.name: box for box in boxes}, widths, ends, centres)


def _is_lane(item: _Item) -> TypeGuard[_Lane]:
    return isinstance(item, _Lane)


def _rows(boxes: Sequence[Box], links: Sequence[Link]) -> dict[str, int]:
    """Return box name to row: below all it is linked from, lower if the row is full."""
    sources: dict[str, list[str]] = {box.name: [] for box in boxes}
    for link in links:
        sources[link.target].append(link.source)
    row_of: dict[str, int] = {}
    filled: dict[int, int] = {}
    for name, above in sources.items():
        row = 1 + max((row_of[source] for source in above), default=-1)
        while filled.get(row, 0) >= _ROW:
            row += 1
        row_of[name] = row
        filled[row] = filled.get(row, 0) + 1
    return row_of


def _path(link: Link, row_of: Mapping[str, int]) -> list[_Item]:
    passed = range(row_of[link.source] + 1, row_of[link.target])
    return [link.source, *(_Lane(link.source, link.port, row) for row in passed), link.target]


def _steps(link: Link, path: Sequence[_Item]) -> list[_Step]:
    return [_Step(above, link.port, below) for above, below in itertools.pairwise(path)]


def _ordered(rows: list[list[_Item]], steps: Sequence[_Step]) -> list[list[_Item]]:
    """Return the rows in an order with few crossings: each item near the mean of its ends."""
    below, above = _neighbours(steps)
    best, fewest = [list(row) for row in rows], _crossings(rows, steps)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        ends = above if down else below
        for row in rows if down else reversed(rows):
            index = _index(rows)
            means = {item: _mean(index, ends.get(item), index[item]) for item in row}
            row.sort(key=means.__getitem__)
        crossings = _crossings(rows, steps)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _neighbours(
    steps: Iterable[_Step],
) -> tuple[dict[_Item, list[_Item]], dict[_Item, list[_Item]]]:
    below: dict[_Item, list[_Item]] = {}
    above: dict[_Item, list[_Item]] = {}
    for step in steps:
        below.setdefault(step.above, []).append(step.below)
        above.setdefault(step.below, []).append(step.above)
    return below, above


def _index(rows: Iterable[Sequence[_Item]]) -> dict[_Item, float]:
    return {item: float(i) for row in rows for i, item in enumerate(row)}


def _mean(at: Mapping[_Item, float], items: Sequence[_Item] | None, otherwise: float) -> float:
    return sum(at[item] for item in items) / len(items) if items else otherwise


def _crossings(rows: Sequence[Sequence[_Item]], steps: Iterable[_Step]) -> int:
    index = _index(rows)
    row_of = {item: number for number, row in enumerate(rows) for item in row}
    by_row: dict[int, list[tuple[float, float]]] = {}
    for step in steps:
        by_row.setdefault(row_of[step.above], []).append((index[step.above], index[step.below]))
    crossings = 0
    for ends in by_row.values():
        seen: list[float] = []
        for _, end in sorted(ends):
            crossings += len(seen) - bisect.bisect_right(seen, end)
            bisect.insort(seen, end)
    return crossings


def _cell(label: float) -> float:
    return max(_PORT, label + _PORT)


def _ends(
    rows: Sequence[Sequence[_Item]],
    steps: Sequence[_Step],
    boxes: Mapping[str, Box],
    widths: Mapping[_Item, float],
) -> dict[_Step, tuple[float, float]]:
    """Return how far from the centres above and below each step begins and ends, uncrossed."""
    index = _index(rows)
    leaving: dict[_Item, dict[str, list[_Item]]] = {}
    arriving: dict[_Item, list[_Step]] = {}
    for step in steps:
        leaving.setdefault(step.above, {}).setdefault(step.port, []).append(step.below)
        arriving.setdefault(step.below, []).append(step)
    departures: dict[tuple[_Item, str], float] = {}
    for name, box in boxes.items():
        towards = leaving.get(name, {})
        ports = sorted(towards, key=lambda port, to=towards: (_mean(index, to[port], 0.0), port))
        cells = [_cell(box.ports.get(port, 0.0)) for port in ports]
        left = -sum(cells) / 2
        for port, cell in zip(ports, cells, strict=True):
            departures[name, port] = left + _PORT / 2
            left += cell
    arrivals: dict[_Step, float] = {}
    for name in boxes:
        came = sorted(
            arriving.get(name, []),
            key=lambda s: (index[s.above], departures.get((s.above, s.port), 0.0), s.port),
        )
        room = min(_ARRIVAL, widths[name] / (len(came) + 1))
        for i, step in enumerate(came):
            arrivals[step] = (i - (len(came) - 1) / 2) * room
    return {s: (departures.get((s.above, s.port), 0.0), arrivals.get(s, 0.0)) for s in steps}


def _apart(left: _Item, right: _Item, widths: Mapping[_Item, float]) -> float:
    """Return the least distance of the centres of two neighbours in a row."""
    lanes = _is_lane(left) and _is_lane(right)
    between = _BETWEEN_LANES if lanes else _BETWEEN_BOXES
    return (widths[left] + widths[right]) / 2 + between


def _settled(
    rows: Sequence[Sequence[_Item]],
    widths: Mapping[_Item, float],
    ends: Mapping[_Step, tuple[float, float]],
) -> dict[_Item, float]:
    """Return the centres that make lines short and lanes straight, found row by row."""
    pulls: dict[_Item, list[tuple[_Item, float, float]]] = {}
    for step, (departs, arrives) in ends.items():
        weight = 1.0 + 2.0 * sum(_is_lane(item) for item in (step.above, step.below))
        pulls.setdefault(step.below, []).append((step.above, departs - arrives, weight))
        pulls.setdefault(step.above, []).append((step.below, arrives - departs, weight))
    centres: dict[_Item, float] = {}
    gaps = [[_apart(a, b, widths) for a, b in itertools.pairwise(row)] for row in rows]
    for row, apart in zip(rows, gaps, strict=True):
        at = itertools.accumulate(apart, initial=-sum(apart) / 2)
        centres.update(zip(row, at, strict=False))
    for settling in range(_SETTLINGS):
        order = list(zip(rows, gaps, strict=True))
        for row, apart in order if settling % 2 == 0 else reversed(order):
            wanted = []
            for item in row:
                ways = pulls.get(item, [])
                weight = sum(w for _, _, w in ways)
                drawn = sum(w * (centres[other] + shift) for other, shift, w in ways)
                wanted.append((drawn / weight, weight) if ways else (centres[item], 0.01))
            centres.update(zip(row, _nearest(wanted, apart), strict=True))
    return centres


def _nearest(wanted: Sequence[tuple[float, float]], apart: Sequence[float]) -> list[float]:
    """Return the positions nearest to what is wanted that keep their order and distances.

    Args:
        wanted: For each item its position and the weight of missing it by a px, squared.
        apart: The least distance of each item from the one before, beginning with the second.
    """
    shifts = list(itertools.accumulate(apart, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # mean, weight, items: pooled while out of order
    for (position, weight), shift in zip(wanted, shifts, strict=False):
        block = (position - shift, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, count = blocks.pop()
            total = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=False)]


def _straighten(
    rows: Sequence[Sequence[_Item]],
    paths: Mapping[Link, Sequence[_Item]],
    widths: Mapping[_Item, float],
    ends: Mapping[_Step, tuple[float, float]],
    centres: dict[_Item, float],
) -> None:
    """Move the lanes of each port above each other, where their neighbours leave room."""
    place = {item: (row, i) for row in rows for i, item in enumerate(row)}
    longest = {(k.source, k.port): k for k in sorted(paths, key=lambda k: len(paths[k]))}
    for link in longest.values():
        path = paths[link]
        lowest, highest = float("-inf"), float("inf")
        for lane in path[1:-1]:
            row, i = place[lane]
            if i > 0:
                lowest = max(lowest, centres[row[i - 1]] + _apart(row[i - 1], lane, widths))
            if i + 1 < len(row):
                highest = min(highest, centres[row[i + 1]] - _apart(lane, row[i + 1], widths))
        if len(path) > 2 and lowest <= highest:
            steps = _steps(link, path)
            begin = centres[path[0]] + ends[steps[0]][0]
            end = centres[path[-1]] + ends[steps[-1]][1]
            straight = next((x for x in (begin, end) if lowest <= x <= highest), None)
            x = min(max((begin + end) / 2, lowest), highest) if straight is None else straight
            centres.update(dict.fromkeys(path[1:-1], x))


def _drawn(
    rows: Sequence[Sequence[_Item]],
    paths: Mapping[Link, Sequence[_Item]],
    boxes: Mapping[str, Box],
    widths: Mapping[_Item, float],
    ends: Mapping[_Step, tuple[float, float]],
    centres: Mapping[_Item, float],
) -> Layout:
    """Return the layout: each row as high as its highest box, more room where lines go far."""
    left = min((centres[item] - widths[item] / 2 for item in centres), default=0.0)
    right = max((centres[item] + widths[item] / 2 for item in centres), default=0.0)
    at = {s: (centres[s.above] + a, centres[s.below] + b) for s, (a, b) in ends.items()}
    row_of = {item: number for number, row in enumerate(rows) for item in row}
    farthest = [0.0] * len(rows)
    for step, (begin, end) in at.items():
        farthest[row_of[step.above]] = max(farthest[row_of[step.above]], abs(begin - end))
    tops, bottoms, stubs, y = [], [], [], 0.0
    for row, far in zip(rows, farthest, strict=True):
        names = [item for item in row if not _is_lane(item)]
        labelled = any(label for name in names for label in boxes[str(name)].ports.values())
        tops.append(y)
        bottoms.append(y + max((boxes[str(name)].height for name in names), default=0.0))
        stubs.append(_LABELLED_STUB if labelled else _STUB)
        y = bottoms[-1] + stubs[-1] + min(_BEND + _SLOPE * far, _HIGHEST_BEND) + _ARROW
    places = {
        name: Place(
            x=centres[name] - widths[name] / 2 - left,
            y=tops[row_of[name]],
            width=widths[name],
            height=bottoms[row_of[name]] - tops[row_of[name]],
        )
        for name in boxes
    }
    routes = {}
    for link, path in paths.items():
        points = []
        for step in _steps(link, path):
            (begin, end), row_above, row_below = at[step], row_of[step.above], row_of[step.below]
            points.append(Point(begin - left, bottoms[row_above]))
            points.append(Point(begin - left, bottoms[row_above] + stubs[row_above]))
            points.append(Point(end - left, tops[row_below] - _ARROW))
            points.append(Point(end - left, tops[row_below]))
        routes[link] = tuple(points)
    return Layout(
        places=places, routes=routes, width=right - left, height=bottoms[-1] if rows else 0.0
    )
