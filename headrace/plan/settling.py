"""This module pushes the items of ordered rows to where lines are short and straight."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from headrace.plan.layers import Box, Item, Link, Step, index_of, is_lane, mean_of, steps_of

PORT = 14  # least distance of two lines at the edge of a box, px
_ARRIVAL = 34
_BETWEEN_LANES, _BETWEEN_BOXES = 10, 26
_SETTLINGS = 60
_WEIGHTS = (1.0, 3.0, 8.0)  # how much a step wants to be vertical, by how many ends are lanes
_NEAR = 26  # px that a line may arrive beside its usual place to come straight


def port_room(label: float) -> float:
    """Return the room that a port takes whose label has this width."""
    return max(PORT, label + PORT)


def ends_of(
    rows: Sequence[Sequence[Item]],
    steps: Sequence[Step],
    boxes: Mapping[str, Box],
    widths: Mapping[Item, float],
) -> dict[Step, tuple[float, float]]:
    """Return how far from the centres above and below each step begins and ends, uncrossed."""
    index = index_of(rows)
    leaving: dict[Item, dict[str, list[Item]]] = {}
    arriving: dict[Item, list[Step]] = {}
    for step in steps:
        leaving.setdefault(step.above, {}).setdefault(step.port, []).append(step.below)
        arriving.setdefault(step.below, []).append(step)
    departures: dict[tuple[Item, str], float] = {}
    for name, box in boxes.items():
        towards = leaving.get(name, {})
        means = {port: mean_of(index, items, 0.0) for port, items in towards.items()}
        ports = sorted(sorted(means), key=means.__getitem__)
        rooms = [port_room(box.ports.get(port, 0.0)) for port in ports]
        left = -sum(rooms) / 2
        for port, room in zip(ports, rooms, strict=True):
            departures[name, port] = left + PORT / 2
            left += room
    arrivals: dict[Step, float] = {}
    for name in boxes:
        came = sorted(
            arriving.get(name, []),
            key=lambda s: (index[s.above], departures.get((s.above, s.port), 0.0), s.port),
        )
        apart = min(_ARRIVAL, widths[name] / (len(came) + 1))
        for i, step in enumerate(came):
            arrivals[step] = (i - (len(came) - 1) / 2) * apart
    return {s: (departures.get((s.above, s.port), 0.0), arrivals.get(s, 0.0)) for s in steps}


def _apart(left: Item, right: Item, widths: Mapping[Item, float]) -> float:
    """Return the least distance of the centres of two neighbours in a row."""
    lanes = is_lane(left) and is_lane(right)
    between = _BETWEEN_LANES if lanes else _BETWEEN_BOXES
    return (widths[left] + widths[right]) / 2 + between


def settled(
    rows: Sequence[Sequence[Item]],
    widths: Mapping[Item, float],
    ends: Mapping[Step, tuple[float, float]],
) -> dict[Item, float]:
    """Return the centres that make lines short and lanes straight, found row by row."""
    pulls: dict[Item, list[tuple[Item, float, float]]] = {}
    for step, (departs, arrives) in ends.items():
        weight = _WEIGHTS[sum(is_lane(item) for item in (step.above, step.below))]
        pulls.setdefault(step.below, []).append((step.above, departs - arrives, weight))
        pulls.setdefault(step.above, []).append((step.below, arrives - departs, weight))
    centres: dict[Item, float] = {}
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


def straighten(
    rows: Sequence[Sequence[Item]],
    paths: Mapping[Link, Sequence[Item]],
    *,
    widths: Mapping[Item, float],
    ends: Mapping[Step, tuple[float, float]],
    centres: dict[Item, float],
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
            steps = steps_of(link, path)
            begin = centres[path[0]] + ends[steps[0]][0]
            end = centres[path[-1]] + ends[steps[-1]][1]
            straight = next((x for x in (begin, end) if lowest <= x <= highest), None)
            x = min(max((begin + end) / 2, lowest), highest) if straight is None else straight
            centres.update(dict.fromkeys(path[1:-1], x))


def lined_up(
    ends: Mapping[Step, tuple[float, float]],
    widths: Mapping[Item, float],
    centres: Mapping[Item, float],
) -> dict[Step, tuple[float, float]]:
    """Return the ends with each arrival right below where its line comes from, if that is near."""
    arriving: dict[Item, list[Step]] = {}
    for step in ends:
        if not is_lane(step.below):
            arriving.setdefault(step.below, []).append(step)
    moved = dict(ends)
    for item, steps in arriving.items():
        steps.sort(key=lambda step: ends[step][1])
        wanted = []
        for step in steps:
            straight = centres[step.above] + ends[step][0] - centres[item]
            usual = ends[step][1]
            wanted.append((straight, 10.0) if abs(straight - usual) < _NEAR else (usual, 1.0))
        found = _nearest(wanted, [PORT] * (len(steps) - 1))
        if max(map(abs, found)) <= (widths[item] - PORT) / 2:
            moved.update((s, (ends[s][0], to)) for s, to in zip(steps, found, strict=True))
    return moved
