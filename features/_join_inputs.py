"""This module puts what is joined on one time line: whole microseconds, comparable keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import BoundaryError

if TYPE_CHECKING:
    import pyarrow as pa

    Column: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, kw_only=True)
class Facts:
    """These are rows with an event time and a known time, and how they are joined.

    Args:
        rows: The rows. One whose key, event time or known time is null never matches.
        keys: The columns that identify the entity, in these rows and in those joined to; none
            for facts that are about everybody.
        event_time: Column with the moment that a row is about; a time with a zone.
        known_time: Column with the moment from which it could be used; a time with a zone.
        expires: Column with the last moment at which a row may be used; None for no limit.
    """

    rows: pa.Table
    keys: tuple[str, ...]
    event_time: str = "event_time"
    known_time: str = "known_time"
    expires: str | None = None


def instants(table: pa.Table, name: str, *, round_up: bool) -> pa.ChunkedArray:
    """Return a time column as microseconds since 1970, UTC.

    Raises:
        BoundaryError: The column has no zone or is no time.
    """
    import pyarrow as pa

    column = table.column(name)
    kind = column.type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        what = "a time without a zone" if pa.types.is_timestamp(kind) else str(kind)
        raise BoundaryError(
            f"The column '{name}' is {what}, so that it cannot be put on one time line.",
            remedy="Make it a time-zone aware instant, such as timestamp[us, tz=UTC].",
        )
    return microseconds(column, round_up=round_up)


def microseconds(column: Column, *, round_up: bool) -> Column:
    """Return timestamps as microseconds since 1970; nanoseconds are rounded, up or down."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if kind.unit != "ns":
        return column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    nanoseconds = column.cast(pa.int64())
    # Arrow divides towards zero, which before 1970 is upwards
    quotient = pc.divide(nanoseconds, 1000)
    remainder = pc.subtract(nanoseconds, pc.multiply(quotient, 1000))
    if round_up:
        return pc.add(quotient, pc.cast(pc.greater(remainder, 0), "int64"))
    return pc.subtract(quotient, pc.cast(pc.less(remainder, 0), "int64"))


def require_same_type(spine: pa.Table, facts: Facts, key: str) -> None:
    """Refuse a key that is of one type here and of another there.

    Raises:
        BoundaryError: It is.
    """
    ours, theirs = spine.column(key).type, facts.rows.column(key).type
    if not alike(ours, theirs):
        raise BoundaryError(
            f"The key '{key}' is {_plain(ours)} in the rows but {_plain(theirs)} in the facts.",
            remedy="Give it the same type on both sides.",
        )


def alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Say whether keys of two types can be equal: widths and dictionaries do not matter."""
    import pyarrow.types as is_

    one, other = _plain(one), _plain(other)
    return (
        one == other
        or (is_.is_integer(one) and is_.is_integer(other))
        or ("string" in str(one) and "string" in str(other))
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
