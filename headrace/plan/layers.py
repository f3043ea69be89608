"""This module orders a graph in rows: each box below all it waits for, few lines crossing."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

_ROW = 10  # boxes in a row; more go below, so that a drawing stays as wide as a screen or two
_SWEEPS = 12


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


class Lane(NamedTuple):
    """This is where the lines of a port pass a row."""

    source: str
    port: str
    row: int


Item = str | Lane


class Step(NamedTuple):
    """This is the part of a line between two rows; `port` is that of the box it comes from."""

    above: Item
    port: str
    below: Item


def is_lane(item: Item) -> TypeGuard[Lane]:
    """Return whether an item of a row is a lane, not a box."""
    return isinstance(item, Lane)


def rows_of(boxes: Sequence[Box], links: Sequence[Link]) -> dict[str, int]:
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


def path_of(link: Link, row_of: Mapping[str, int]) -> list[Item]:
    """Return what a line goes through, from its source to its target."""
    passed = range(row_of[link.source] + 1, row_of[link.target])
    return [link.source, *(Lane(link.source, link.port, row) for row in passed), link.target]


def steps_of(link: Link, path: Sequence[Item]) -> list[Step]:
    """Return the parts of a line that goes through a path."""
    return [Step(above, link.port, below) for above, below in itertools.pairwise(path)]


def ordered(rows: Sequence[Sequence[Item]], steps: Sequence[Step]) -> Sequence[Sequence[Item]]:
    """Return the rows in an order with few crossings: each item near the mean of its ends.

    Args:
        rows: Boxes and lanes, top to bottom, in any order.
        steps: The parts of lines between them.
    """
    below, above = _neighbours(steps)
    moving = [list(row) for row in rows]
    best, fewest = rows, _crossings(rows, steps)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        ends = above if down else below
        index = index_of(moving)
        for row in moving if down else reversed(moving):
            means = {item: mean_of(index, ends.get(item), index[item]) for item in row}
            row.sort(key=means.__getitem__)
            index.update(index_of([row]))
        crossings = _crossings(moving, steps)
        if crossings < fewest:
            best, fewest = [list(row) for row in moving], crossings
    return best


def _neighbours(
    steps: Iterable[Step],
) -> tuple[dict[Item, list[Item]], dict[Item, list[Item]]]:
    below: dict[Item, list[Item]] = {}
    above: dict[Item, list[Item]] = {}
    for step in steps:
        below.setdefault(step.above, []).append(step.below)
        above.setdefault(step.below, []).append(step.above)
    return below, above


def index_of(rows: Iterable[Sequence[Item]]) -> dict[Item, float]:
    """Return each item's position in its row, counted from 0."""
    return {item: float(i) for row in rows for i, item in enumerate(row)}


def mean_of(at: Mapping[Item, float], items: Sequence[Item] | None, otherwise: float) -> float:
    """Return the mean position of some items; if there are none, the other."""
    return sum(at[item] for item in items) / len(items) if items else otherwise


def _crossings(rows: Sequence[Sequence[Item]], steps: Iterable[Step]) -> int:
    index = index_of(rows)
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
