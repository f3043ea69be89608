"""This module reads the source of windows: whose rows they are, when each counts, what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features._window_columns import time_column
from features._window_sums import Ints
from headrace.errors import DataError, LeakageError

if TYPE_CHECKING:
    from features.view import FeatureView
    from features.windows import Windows
    from headrace.schemas import TableSchema

FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Coded:
    """This is a column as numbers that order like its values.

    Args:
        codes: Position of each value among the different ones, -1 for a null.
        values: The different values, ascending.
    """

    codes: Ints
    values: pa.Array


@dataclass(frozen=True, kw_only=True)
class Counting:
    """These are the rows that may count in a window, ordered by entity.

    Args:
        rows: Position of each in the source.
        entity: Its entity, as a number.
        event: When it happened, in microseconds since 1970 UTC.
        known: From when it counts, likewise.
        until: From when a later word on it counts instead, likewise.
        keys: The key columns of the entities, by number.
    """

    rows: Ints
    entity: Ints
    event: Ints
    known: Ints
    until: Ints
    keys: pa.Table


def counting_rows(windows: Windows, source: pa.Table, view: FeatureView) -> Counting:
    """Return the rows with an entity and both times, each until a later word supersedes it.

    Raises:
        LeakageError: A row is known before it happened.
        DataError: A row has no id.
    """
    schema = view.source_schema
    event_name = time_column(schema, windows.event_time, "event_time")
    known_name = time_column(schema, windows.known_time, "known_time")
    event, has_event = _instants(source.column(event_name))
    known, has_known = _instants(source.column(known_name))
    timed = has_event & has_known
    early = timed & (known < event)
    if early.any():
        raise _early(source, view, event_name, known_name, early)
    _require_known_values(windows, source, schema, known_name, np.where(has_known, known, FOREVER))
    entity, keys = _entities(source, view.keys)
    until = np.full(source.num_rows, FOREVER, dtype=np.int64)
    if windows.row_id is not None:
        _require_ids(windows.row_id, source, view.name)
        said = (entity, event, has_event)
        _supersede(windows, source, said=said, known=known, has_known=has_known, until=until)
    rows = np.flatnonzero(timed & (entity >= 0) & (until > known))
    rows = rows[np.argsort(entity[rows], kind="stable")]
    return Counting(
        rows=rows,
        entity=entity[rows],
        event=event[rows],
        known=known[rows],
        until=until[rows],
        keys=keys,
    )


def coded(column: pa.ChunkedArray) -> Coded:
    """Return a column as numbers that order like its values; NaN is a null, -0.0 is 0.0."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_floating(column.type):
        column = without_nan(column)
    encoded = pa.chunked_array(column).combine_chunks().dictionary_encode()
    values, codes = encoded.dictionary, encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = pc.sort_indices(values).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return Coded(codes=rank[codes], values=values.take(pa.array(order)))


def without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floats in which NaN is a null and -0.0 is 0.0, so that equal values are one."""
    missing = pc.is_nan(column).fill_null(False)
    return pc.if_else(missing, pa.scalar(None, column.type), pc.add(column, 0.0))


def _instants(column: pa.ChunkedArray) -> tuple[Ints, npt.NDArray[np.bool_]]:
    there = pc.is_valid(column).to_numpy()
    numbers = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return numbers.fill_null(0).to_numpy(), there


def _entities(source: pa.Table, keys: tuple[str, ...]) -> tuple[Ints, pa.Table]:
    """Return each row's entity as a number, -1 where a key is null, and the entities' keys."""
    entity = np.zeros(source.num_rows, dtype=np.int64)
    missing = np.zeros(source.num_rows, dtype=np.bool_)
    for key in keys:
        column = coded(source.column(key))
        missing |= column.codes < 0
        # dense after every key, so that no product of many keys can overflow
        entity = entity * max(len(column.values), 1) + column.codes.clip(0)
        entity = np.unique(entity, return_inverse=True)[1].reshape(-1)
    entity[missing] = -1
    if not keys:
        return entity, pa.table({})
    numbers, rows = np.unique(entity, return_index=True)
    first = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    first[numbers[numbers >= 0]] = rows[numbers >= 0]
    return entity, source.select(keys).take(pa.array(first))


def _require_ids(row_id: str, source: pa.Table, view: str) -> None:
    nameless = np.flatnonzero(pc.is_null(source.column(row_id)).to_numpy())
    if len(nameless):
        raise DataError(
            f"{len(nameless):,} rows of the source of view '{view}' have no '{row_id}', the first "
            f"in row {nameless[0]:,}.",
            remedy="Give every row its id, or leave row_id out of the windows.",
        )


def _supersede(
    windows: Windows,
    source: pa.Table,
    *,
    said: tuple[npt.NDArray[Any], ...],
    known: Ints,
    has_known: npt.NDArray[np.bool_],
    until: Ints,
) -> None:
    """Set until when each row is the last known of those with its id."""
    rows = np.flatnonzero(has_known)
    ids = coded(source.column(str(windows.row_id))).codes
    # of rows with one id that are known at the same moment the last in an order that depends on
    # what they say alone
    read = sorted({a.column for a in windows.aggregates if a.column is not None})
    ties = [coded(source.column(column)).codes for column in read]
    order = rows[np.lexsort(tuple(key[rows] for key in (*ties, *said, known, ids)))]
    again = ids[order][1:] == ids[order][:-1]
    until[order[:-1][again]] = known[order][1:][again]


def _require_known_values(
    windows: Windows,
    source: pa.Table,
    schema: TableSchema,
    known_name: str,
    known: Ints,
) -> None:
    """Refuse values that are known only after the known time of their row."""
    for name in sorted({a.column for a in windows.aggregates if a.column is not None}):
        known_at = schema.column(name).known_at
        if known_at in (None, known_name):
            continue
        value_known, there = _instants(source.column(str(known_at)))
        late = pc.is_valid(source.column(name)).to_numpy() & (known < FOREVER)
        late &= ~there | (value_known > known)
        if late.any():
            row = int(late.argmax())
            at = source.column(str(known_at))[row].as_py()
            raise LeakageError(
                f"{int(late.sum()):,} values of '{name}' would be used before they were known, the "
                f"first in row {row:,}: it is known at '{known_at}', "
                f"{'never' if at is None else at.isoformat()}, but its row at '{known_name}', "
                f"{source.column(known_name)[row].as_py().isoformat()}.",
                remedy=f"Give the windows the later time: known_time='{known_at}'.",
            )


def _early(
    source: pa.Table,
    view: FeatureView,
    event_name: str,
    known_name: str,
    early: npt.NDArray[np.bool_],
) -> LeakageError:
    row = int(early.argmax())
    keys = ", ".join(f"{key} {source[key][row].as_py()!r}" for key in view.keys)
    return LeakageError(
        f"{int(early.sum()):,} rows of the source of view '{view.name}' claim to be known before "
        f"they happened, the first in row {row:,}{f' ({keys})' if keys else ''}: '{known_name}' is "
        f"{source[known_name][row].as_py().isoformat()} but '{event_name}' is "
        f"{source[event_name][row].as_py().isoformat()}.",
        remedy=f"Set '{known_name}' to the moment from which the row could be used.",
    )
