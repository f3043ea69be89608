"""This module computes the rows of windows, some entities at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features._window_aggregates import Aggregate
from features._window_moments import Moments, Span, blocks, moments_of
from features._window_source import Coded, Counting, coded, counting_rows, without_nan
from features._window_sums import Ints, counted, running, running_floats
from features._window_sweeps import differing, greatest
from headrace.conform import arrow_type
from headrace.errors import DataError

if TYPE_CHECKING:
    from features.view import FeatureView
    from features.windows import Windows
    from headrace.schemas import Column

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "above": pc.greater,
    "at_least": pc.greater_equal,
    "below": pc.less,
    "at_most": pc.less_equal,
    "equals": pc.equal,
}


def window_rows(windows: Windows, source: pa.Table, view: FeatureView) -> pa.Table:
    """Return the rows of a view that computes windows; see `Windows.rows`."""
    counting = counting_rows(windows, source, view)
    columns = windows.columns_of(view.source_schema)
    work = _Work(source, counting, view.name)
    plan = [(a, microseconds(over)) for a in windows.aggregates for over in a.over]
    lengths = list(dict.fromkeys(length for _, length in plan))
    fields = [
        *(
            pa.field(e.column, pa.int64() if e.dtype == "int" else pa.string())
            for e in view.entities
        ),
        pa.field(view.event_time, pa.timestamp("us", tz="UTC")),
        pa.field(view.known_time, pa.timestamp("us", tz="UTC")),
        *(pa.field(c.name, arrow_type(c)) for c in columns),
    ]
    keys = counting.keys.cast(pa.schema(fields[: len(view.keys)])) if view.keys else counting.keys
    schema = pa.schema(fields)
    parts = []
    for part in blocks(counting):
        moments = moments_of(counting, part, lengths)
        time = pa.array(moments.time).cast(pa.timestamp("us", tz="UTC"))
        whose = [c.combine_chunks() for c in keys.take(pa.array(moments.entity)).columns]
        work.begin(part, moments)
        values = [
            work.feature(aggregate, column, moments.spans[length])
            for (aggregate, length), column in zip(plan, columns, strict=True)
        ]
        parts.append(pa.RecordBatch.from_arrays([*whose, time, time, *values], schema=schema))
    return pa.Table.from_batches(parts, schema=schema)


def microseconds(over: timedelta | None) -> int | None:
    """Return the length of a window in microseconds; None for ever."""
    return None if over is None else over // timedelta(microseconds=1)


class _Work:
    """This computes the features of a block of entities; columns are read once, sums shared.

    Args:
        source: The source.
        counting: Its rows that count.
        view: Name of the view.
    """

    def __init__(self, source: pa.Table, counting: Counting, view: str) -> None:
        self._source, self._counting, self._view = source, counting, view
        self._coded: dict[str, Coded] = {}
        self._read: dict[object, npt.NDArray[Any]] = {}
        self._done: dict[object, npt.NDArray[Any]] = {}
        self._part, self._size = slice(0), 0

    def begin(self, part: slice, moments: Moments) -> None:
        """Go on to another block."""
        self._part, self._size = part, len(moments.time)
        self._done.clear()

    def feature(self, aggregate: Aggregate, column: Column, span: Span) -> pa.Array:
        """Return a feature at each moment of the block."""
        kind, name = aggregate.kind, aggregate.column
        if name is None:
            return pa.array(counted(span.starts, span.stops, self._size))
        if kind in ("last", "min", "max", "distinct"):
            return self._of_codes(kind, name, column, span)
        count = self._count(name, span)
        if kind == "count":
            return pa.array(count)
        if kind == "rate":
            return _quotient(self._sum(self._hits(aggregate, name), name, span), count)
        shared = (name, id(span))
        if shared not in self._done:
            self._done[shared] = self._sum(self._numbers(name), name, span)
        sums = self._done[shared]
        return _nullable(sums) if kind == "sum" else _quotient(sums, count)

    def _of_codes(self, kind: str, name: str, column: Column, span: Span) -> pa.Array:
        if name not in self._coded:
            whole = coded(self._source.column(name))
            counting = whole.codes[self._counting.rows]
            self._coded[name] = Coded(codes=counting, values=whole.values)
        of = self._coded[name]
        codes = of.codes[self._part][span.rows]
        there = codes >= 0
        codes, starts, stops = codes[there], span.starts[there], span.stops[there]
        if kind == "distinct":
            return pa.array(differing(codes, starts, stops, self._size))
        if kind == "max":
            best = greatest(codes, starts, stops, self._size)
        elif kind == "min":
            mirrored = greatest(len(of.values) - 1 - codes, starts, stops, self._size)
            best = np.where(mirrored < 0, -1, len(of.values) - 1 - mirrored)
        else:
            rows = span.rows[there]
            event = self._counting.event[self._part][rows]
            known = self._counting.known[self._part][rows]
            order = np.lexsort((codes, known, event))
            rank = np.empty(len(order), dtype=np.int64)
            rank[order] = np.arange(len(order))
            newest = greatest(rank, starts, stops, self._size)
            best = np.append(codes[order], -1)[newest]  # the last one where there is none
        return _typed(of.values.take(pa.array(best, mask=best < 0)), column)

    def _count(self, name: str, span: Span) -> Ints:
        shared = ("count", name, id(span))
        if shared not in self._done:
            there = self._there(name)[self._part][span.rows]
            self._done[shared] = counted(span.starts[there], span.stops[there], self._size)
        return self._done[shared]

    def _sum(self, values: npt.NDArray[Any], name: str, span: Span) -> npt.NDArray[Any]:
        there = self._there(name)[self._part][span.rows]
        some = values[self._part][span.rows][there]
        starts, stops = span.starts[there], span.stops[there]
        if some.dtype == np.float64:
            return running_floats(some, starts, stops, self._size)
        self._require_room(name, some, starts, stops)
        return running(some.astype(np.int64), starts, stops, self._size)

    def _require_room(self, name: str, values: npt.NDArray[Any], starts: Ints, stops: Ints) -> None:
        """Refuse a sum of integers beyond 64 bits; on the way there it may overflow unseen."""
        if np.abs(values.astype(np.float64)).sum() < 2.0**62:
            return
        sums = running_floats(values.astype(np.float64), starts, stops, self._size)
        if (np.abs(sums) >= 2.0**63 - 2.0**32).any():
            raise DataError(
                f"A sum of '{name}' in view '{self._view}' does not fit into 64 bits.",
                remedy="Make the column a float in the source.",
            )

    def _hits(self, aggregate: Aggregate, name: str) -> npt.NDArray[Any]:
        """Return where what a rate counts holds, of the rows that count."""
        key = ("hits", name, aggregate.comparison, aggregate.operand)
        if key not in self._read:
            column = self._plain(name)
            if aggregate.comparison is not None:
                column = _COMPARED[aggregate.comparison](column, pa.scalar(aggregate.operand))
            hits = column.fill_null(False).to_numpy()
            self._read[key] = hits[self._counting.rows].astype(np.int64)
        return self._read[key]

    def _numbers(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a column, of the rows that count."""
        key = ("numbers", name)
        if key not in self._read:
            self._read[key] = self._plain(name).fill_null(0).to_numpy()[self._counting.rows]
        return self._read[key]

    def _there(self, name: str) -> npt.NDArray[Any]:
        """Return where a column has a value, of the rows that count."""
        key = ("there", name)
        if key not in self._read:
            there = pc.is_valid(self._plain(name)).to_numpy()
            self._read[key] = there[self._counting.rows]
        return self._read[key]

    def _plain(self, name: str) -> pa.ChunkedArray:
        column = self._source.column(name)
        if pa.types.is_dictionary(column.type):
            return column.cast(pa.string())
        return without_nan(column) if pa.types.is_floating(column.type) else column


def _typed(values: pa.Array, column: Column) -> pa.Array:
    if column.dtype == "category":
        values = values.cast(pa.string()).dictionary_encode()
    return values.cast(arrow_type(column))


def _nullable(values: npt.NDArray[Any]) -> pa.Array:
    if values.dtype != np.float64:
        return pa.array(values)
    missing = np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def _quotient(sums: npt.NDArray[Any], count: Ints) -> pa.Array:
    values = sums / np.maximum(count, 1)
    missing = (count == 0) | np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)
