"""This module places a graph in rows, top to bottom, so that no line runs under a box.

It is Sugiyama's method in small: a box lies below all that it waits for; a line that passes a row
gets a lane of its own there; the rows are ordered so that few lines cross, and then pushed to where
the lines are straight. Everything that leaves one port shares a lane. The same graph always gives
the same drawing.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.plan.layers import (
    Box,
    Item,
    Link,
    Step,
    is_lane,
    ordered,
    path_of,
    rows_of,
    steps_of,
)
from headrace.plan.settling import PORT, ends_of, lined_up, port_room, settled, straighten

_LANE = 4  # width of a lane, px
_STUB, _LABELLED_STUB, _ARROW = 2, 16, 8  # how far a line is vertical before and after its curve
_BEND, _HIGHEST_BEND, _SLOPE = 34, 90, 0.09  # a curve is higher the farther it goes sideways


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


def layout(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Return where the boxes and lines of a graph go.

    Args:
        boxes: The boxes, each after all that it is linked from.
        links: The lines, without repetitions.
    """
    row_of = rows_of(boxes, links)
    paths = {link: path_of(link, row_of) for link in links}
    steps = list(dict.fromkeys(step for link in links for step in steps_of(link, paths[link])))
    unordered: list[list[Item]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    for name, row in row_of.items():
        unordered[row].append(name)
    lanes = [lane for lane in dict.fromkeys(itertools.chain(*paths.values())) if is_lane(lane)]
    for lane in lanes:
        unordered[lane.row].append(lane)
    rows = ordered(unordered, steps)
    widths: dict[Item, float] = dict.fromkeys(lanes, _LANE)
    arriving = collections.Counter(step.below for step in steps)
    for box in boxes:
        leaving = sum(port_room(label) for label in box.ports.values())
        widths[box.name] = max(box.width, leaving + PORT, PORT * (1 + arriving[box.name]))
    ends = ends_of(rows, steps, {box.name: box for box in boxes}, widths)
    centres = settled(rows, widths, ends)
    straighten(rows, paths, widths=widths, ends=ends, centres=centres)
    ends = lined_up(ends, widths, centres)
    named = {box.name: box for box in boxes}
    return _drawn(rows, paths, named, widths=widths, ends=ends, centres=centres)


def _drawn(
    rows: Sequence[Sequence[Item]],
    paths: Mapping[Link, Sequence[Item]],
    boxes: Mapping[str, Box],
    *,
    widths: Mapping[Item, float],
    ends: Mapping[Step, tuple[float, float]],
    centres: Mapping[Item, float],
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
        names = [item for item in row if not is_lane(item)]
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
        for step in steps_of(link, path):
            (begin, end), row_above, row_below = at[step], row_of[step.above], row_of[step.below]
            points.append(Point(begin - left, bottoms[row_above]))
            points.append(Point(begin - left, bottoms[row_above] + stubs[row_above]))
            points.append(Point(end - left, tops[row_below] - _ARROW))
            points.append(Point(end - left, tops[row_below]))
        routes[link] = tuple(points)
    return Layout(
        places=places, routes=routes, width=right - left, height=bottoms[-1] if rows else 0.0
    )
