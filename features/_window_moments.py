"""This module finds the moments at which windows change, and from which to which a row counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features._window_source import FOREVER, Counting
from features._window_sums import Ints

_BLOCK = 100_000  # rows worked on at a time; an entity's rows are never divided


@dataclass(frozen=True, kw_only=True)
class Span:
    """This says which rows count in a window, and during which moments.

    Args:
        rows: Positions among the rows of the block.
        starts: Position of the first moment at which each counts.
        stops: Position of the first at which it no longer does.
    """

    rows: Ints
    starts: Ints
    stops: Ints


@dataclass(frozen=True, kw_only=True)
class Moments:
    """These are the moments of some entities, ordered by entity and time.

    Args:
        entity: The entity of each, as a number.
        time: When it is, in microseconds since 1970 UTC.
        spans: By length of the window, who counts when.
    """

    entity: Ints
    time: Ints
    spans: dict[int | None, Span]


def blocks(counting: Counting) -> Iterator[slice]:
    """Return the rows in parts that are worked on one after another, to bound the memory."""
    ends = np.append(np.flatnonzero(np.diff(counting.entity)) + 1, len(counting.entity))
    begin = 0
    while begin < len(counting.entity):
        # the last end within the block, or the first one beyond it where an entity is larger
        at = int(np.searchsorted(ends, begin + _BLOCK, side="right")) - 1
        end = int(ends[at]) if at >= 0 and ends[at] > begin else int(ends[at + 1])
        yield slice(begin, end)
        begin = end


def moments_of(counting: Counting, part: slice, lengths: Sequence[int | None]) -> Moments:
    """Return the moments at which the windows of some entities change.

    Args:
        counting: The rows.
        part: Those to look at.
        lengths: Lengths of the windows, in microseconds; None for ever.
    """
    entity, event = counting.entity[part], counting.event[part]
    known, until = counting.known[part], counting.until[part]
    leaves = {w: until if w is None else np.minimum(event + w, until) for w in lengths}
    counts = {w: np.flatnonzero(leave > known) for w, leave in leaves.items()}
    ever = np.zeros(len(entity), dtype=np.bool_)
    for rows in counts.values():
        ever[rows] = True
    parts = [np.flatnonzero(ever), *(r[leaves[w][r] < FOREVER] for w, r in counts.items())]
    times = [known[parts[0]], *(leaves[w][r] for w, r in zip(counts, parts[1:], strict=True))]
    whose, when, position = _merged(entity[np.concatenate(parts)], np.concatenate(times))
    at = np.split(position, np.cumsum([len(p) for p in parts])[:-1])
    start_of = np.zeros(len(entity), dtype=np.int64)
    start_of[parts[0]] = at[0]
    spans: dict[int | None, Span] = {}
    for (length, rows), leaving, stop in zip(counts.items(), parts[1:], at[1:], strict=True):
        # what never leaves counts until the moments of its entity are over
        stop_of = np.searchsorted(whose, entity, side="right")
        stop_of[leaving] = stop
        spans[length] = Span(rows=rows, starts=start_of[rows], stops=stop_of[rows])
    return Moments(entity=whose, time=when, spans=spans)


def _merged(entity: Ints, time: Ints) -> tuple[Ints, Ints, npt.NDArray[np.int64]]:
    """Return the different pairs in order, and where each of those given is among them."""
    if not len(entity):
        return entity, time, entity
    first, earliest = int(entity.min()), int(time.min())
    width = int(time.max()) - earliest + 1
    if (int(entity.max()) - first + 1) * width < FOREVER:  # a pair fits into one number
        pairs, position = np.unique(
            (entity - first) * width + (time - earliest), return_inverse=True
        )
        return pairs // width + first, pairs % width + earliest, position.reshape(-1)
    order = np.lexsort((time, entity))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(entity[order]) != 0) | (np.diff(time[order]) != 0)
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.cumsum(new) - 1
    kept = order[new]
    return entity[kept], time[kept], position
