"""This module puts what is joined on one time line: whole microseconds, plain keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import BoundaryError, DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Facts:
    """These are rows with an event time and a known time, and how they are joined.

    Args:
        rows: The rows. One whose key, event time or known time is null never matches.
        keys: The columns that identify the entity, in these rows and in those joined to.
        event_time: Column with the moment that a row is about; a time with a zone.
        known_time: Column with the moment from which it could be used; a time with a zone.
        expires: Column with the last moment at which a row may be used; None for no limit.
    """

    rows: pa.Table
    keys: tuple[str, ...]
    event_time: str = "event_time"
    known_time: str = "known_time"
    expires: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise DefinitionError(
                "Facts have no key to join on.", remedy="Name the columns that identify the entity."
            )


def decisions_of(spine: pa.Table, facts: Facts, at: str) -> pa.Table:
    """Return keys and decision times as the join compares them, with their positions."""
    import numpy as np
    import pyarrow as pa

    columns = {"decided": _instants(spine, at, round_up=False)}
    for i, key in enumerate(facts.keys):
        _require_same_type(spine, facts, key)
        columns[f"key_{i}"] = _plain(spine.column(key))
    return pa.table({**columns, "decision": np.arange(spine.num_rows)})


def known_of(facts: Facts) -> pa.Table:
    """Return keys and times of the facts as the join compares them, with their positions."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = facts.rows
    event = _instants(rows, facts.event_time, round_up=False)
    known = _instants(rows, facts.known_time, round_up=True)
    expires = (
        pa.nulls(rows.num_rows, pa.int64())
        if facts.expires is None
        else _instants(rows, facts.expires, round_up=False)
    )
    keys = {f"key_{i}": _plain(rows.column(key)) for i, key in enumerate(facts.keys)}
    table = pa.table(
        {
            **keys,
            "event": event,
            "known": known,
            "expires": expires,
            "fact": np.arange(rows.num_rows),
        }
    )
    usable = pc.and_(pc.is_valid(event), pc.is_valid(known))
    return table.filter(usable)


def _instants(table: pa.Table, name: str, *, round_up: bool) -> pa.ChunkedArray:
    """Return a time column as microseconds since 1970, UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    kind = column.type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        what = "a time without a zone" if pa.types.is_timestamp(kind) else str(kind)
        raise BoundaryError(
            f"The column '{name}' is {what}, so that it cannot be put on one time line.",
            remedy="Make it a time-zone aware instant, such as timestamp[us, tz=UTC].",
        )
    if kind.unit != "ns":
        return column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    nanoseconds = column.cast(pa.int64())
    if round_up:
        nanoseconds = pc.add(nanoseconds, 999)
    return _floor_divided(nanoseconds, 1000)


def _floor_divided(numbers: pa.ChunkedArray, by: int) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    # Arrow divides towards zero, which before 1970 is upwards
    quotient = pc.divide(numbers, by)
    remainder = pc.subtract(numbers, pc.multiply(quotient, by))
    return pc.subtract(quotient, pc.cast(pc.less(remainder, 0), "int64"))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a key without dictionary encoding, whose categories may differ between tables."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _require_same_type(spine: pa.Table, facts: Facts, key: str) -> None:
    import pyarrow.types as is_

    ours, theirs = _plain(spine.column(key)).type, _plain(facts.rows.column(key)).type
    alike = (
        ours == theirs
        or (is_.is_integer(ours) and is_.is_integer(theirs))
        or ("string" in str(ours) and "string" in str(theirs))
    )
    if not alike:
        raise BoundaryError(
            f"The key '{key}' is {ours} in the rows but {theirs} in the facts.",
            remedy="Give it the same type on both sides.",
        )
