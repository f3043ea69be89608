"""This module parts decisions into blocks: by the clock, by the calendar, or by a count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from serving.rule import Rule

Flags: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.intp]
Times: TypeAlias = npt.NDArray[np.int64]
Vector: TypeAlias = npt.NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000
_NEVER = 1 << 61


@dataclass(frozen=True, kw_only=True)
class Spans:
    """These are the blocks that decisions may fall into.

    Args:
        starts: First moment of each block, in microseconds.
        ends: First moment after it; one that is not reached yet is far away.
        index: Number of the block of each decision.
    """

    starts: Times
    ends: Times
    index: Places


def block_spans(at_us: Times, rule: Rule) -> Spans:
    """Return blocks by the clock around all decisions: local days or weeks, or hours of UTC.

    Args:
        at_us: When each decision was made, in microseconds since 1970.
        rule: Blocks by "count" are `count_spans`.
    """
    if at_us.size == 0:
        none = np.array([], dtype=np.int64)
        return Spans(starts=none, ends=none, index=np.array([], dtype=np.intp))
    if rule.block == "hour":
        starts = np.unique(at_us // _HOUR_US) * _HOUR_US
        ends = starts + _HOUR_US
    else:
        days = 7 if rule.block == "week" else 1
        edges = _midnights(int(at_us.min()), int(at_us.max()), ZoneInfo(rule.timezone), days)
        starts, ends = edges[:-1], edges[1:]
    index = np.searchsorted(starts, at_us, side="right") - 1
    return Spans(starts=starts, ends=ends, index=index.astype(np.intp))


def count_spans(at_us: Times, size: int, counted: Sequence[Places]) -> Spans:
    """Return blocks that close after so many of what is counted, in the order of arrival.

    Where a block ends depends on nothing that comes later, so that more decisions change no block
    that is closed; nor does it depend on scores, so that a metric of ranks is unbiased in it. What
    was decided at one moment stays together. The last block is not closed: its end is far away.

    Args:
        at_us: When each decision was made, in order.
        size: How many close a block, at least 1.
        counted: Places of what is counted, in order: of "auc" decisions of either outcome, of
            which there must be as many each; else one kind, such as the first ones of units.
    """
    closings: list[int] = []
    while (end := _closing(at_us, size, counted, closings[-1] if closings else 0)) is not None:
        closings.append(end)
    edges = np.array([0, *closings], dtype=np.intp)
    starts, ends = edges[edges < at_us.size], np.array(closings, dtype=np.intp)
    last = np.full(starts.size, _NEVER, dtype=np.int64)
    last[: ends.size] = at_us[ends - 1] + 1
    index = np.searchsorted(ends, np.arange(at_us.size), side="right")
    return Spans(starts=at_us[starts], ends=last, index=index.astype(np.intp))


def _closing(at_us: Times, size: int, counted: Sequence[Places], start: int) -> int | None:
    """Return the place after the last decision of a block that begins at a place; None if open."""
    last = -1
    for places in counted:
        number = int(np.searchsorted(places, start)) + size - 1
        if number >= places.size:
            return None
        last = max(last, int(places[number]))
    return int(np.searchsorted(at_us, at_us[last], side="right"))


def merged(spans: Spans, *, ones: Flags, zeros: Flags, closed: Flags) -> Spans:
    """Return blocks in which both outcomes occur: one that lacks either is joined to the next.

    The last of the closed ones may lack one still. Blocks without decisions are left out.

    Args:
        spans: The blocks.
        ones: Whether a decision counts, with the outcome 1.
        zeros: Whether it counts, with the outcome 0.
        closed: Whether a block is closed; closed ones are not joined to those that are open.
    """
    size = spans.starts.size
    occur = np.bincount(spans.index, minlength=size) > 0
    has = [np.bincount(spans.index[flags], minlength=size) > 0 for flags in (ones, zeros)]
    group = np.zeros(size, dtype=np.intp)
    starts: list[int] = []
    ends: list[int] = []
    begins, seen = True, [False, False]
    for block in np.flatnonzero(occur):
        if begins or not closed[block]:
            starts.append(int(spans.starts[block]))
            ends.append(0)
            seen = [False, False]
        ends[-1] = int(spans.ends[block])
        group[block] = len(starts) - 1
        seen = [before or bool(flags[block]) for before, flags in zip(seen, has, strict=True)]
        begins = all(seen)
    return Spans(
        starts=np.array(starts, dtype=np.int64),
        ends=np.array(ends, dtype=np.int64),
        index=group[spans.index],
    )


def _midnights(first: int, last: int, zone: ZoneInfo, days: int) -> Times:
    """Return every local midnight, or that of Mondays, around all moments."""
    day: date = (_EPOCH + timedelta(microseconds=first)).astimezone(zone).date()
    if days == 7:  # weeks of ISO 8601 begin on Mondays
        day -= timedelta(days=day.weekday())
    edges: list[int] = []
    while not edges or edges[-1] <= last:
        midnight = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
        edges.append((midnight - _EPOCH) // timedelta(microseconds=1))
        day += timedelta(days=days)
    return np.array(edges, dtype=np.int64)
