"""This module reads rows that are pushed: whose they are, which row each is, what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from features._online_keys import ENTITYLESS, KEY_PARTS, key_prefix
from features.view import FeatureView
from features.windows import Windows
from headrace.clock import from_us
from headrace.errors import BoundaryError, DataError, DefinitionError, LeakageError
from headrace.schemas import Role

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Rows: TypeAlias = pa.Table | pd.DataFrame | Sequence[Mapping[str, Any]]

Plain = list[Any]  # a column as Python values, an instant in microseconds since 1970 UTC


@dataclass(frozen=True, slots=True)
class Given:
    """This is a row that was pushed.

    Args:
        position: Its position in the table.
        key: Its entity, as the online store names it.
        identity: What the row is about: its id, or entity and event; None where a row stands for
            itself.
        event_us: When it happened, in microseconds since 1970 UTC.
        known_us: From when it could be used, as it says.
        digest: Of all that it says.
    """

    position: int
    key: bytes
    identity: bytes | None
    event_us: int
    known_us: int
    digest: bytes


def source_times(view: FeatureView) -> tuple[str, str]:
    """Return the columns of a view's source with the event time and the known time.

    Raises:
        DefinitionError: There is none.
    """
    event = known = None
    if isinstance(view.compute, Windows):
        event, known = view.compute.event_time, view.compute.known_time
    return (
        _time(view, "event_time", event, view.event_time),
        _time(view, "known_time", known, view.known_time),
    )


def history_of(view: FeatureView) -> timedelta | None:
    """Return how far back an entity's rows matter for what is known of it now; None for ever.

    A function of one row needs no others; where windows are computed, the longest says.
    """
    return view.compute.longest if isinstance(view.compute, Windows) else timedelta(0)


def require_stream(view: FeatureView) -> None:
    """Refuse a view that takes no pushed rows, or whose source does not say what they need.

    Raises:
        DefinitionError: It does; the message says which.
    """
    if not view.stream:
        raise DefinitionError(
            f"Feature view '{view.name}' takes no pushed rows.",
            remedy="Declare it with stream=True.",
        )
    for key in view.keys:
        if key not in view.source_schema:
            raise DefinitionError(
                f"The source of stream view '{view.name}' has no column '{key}', so that a pushed "
                "row is about no entity.",
                remedy="Give the source the view's key columns.",
            )
    source_times(view)


def as_source(view: FeatureView, rows: Rows, *, now_us: int) -> pa.Table:
    """Return pushed rows in the columns of the view's source.

    Raises:
        BoundaryError: They do not fit the source.
        DataError: A key, a time or an id is null.
        LeakageError: A row is known before it happened, or not known yet.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from headrace.conform import as_arrow, conform

    where = f"What is pushed to view '{view.name}'"
    if isinstance(rows, Sequence):
        rows = _table_of(view, rows, where)
    table = conform(as_arrow(rows), view.source_schema, where=where)
    event, known = source_times(view)
    row_id = view.compute.row_id if isinstance(view.compute, Windows) else None
    for name in (*view.keys, event, known, *([row_id] if row_id else [])):
        missing = table.column(name).null_count
        if missing:
            row = table.column(name).is_null().index(True).as_py()
            raise DataError(
                f"{where} has no '{name}' in {missing:,} rows, the first in row {row:,}.",
                remedy="Leave those rows out; push a row once it is known whose it is and when.",
            )
    said = table.column(known)
    early, late = pc.less(said, table.column(event)), pc.greater(said.cast(pa.int64()), now_us)
    for wrong, what, other in (
        (early, "known before they happened", table.column(event)),
        (late, "not known yet", None),
    ):
        if (pc.sum(wrong).as_py() or 0) == 0:
            continue
        row = wrong.index(True).as_py()
        than = (
            f"the present is {from_us(now_us).isoformat()}"
            if other is None
            else f"'{event}' is {other[row].as_py().isoformat()}"
        )
        raise LeakageError(
            f"{where} has {pc.sum(wrong).as_py():,} rows that are {what}, the first in row "
            f"{row:,}: '{known}' is {said[row].as_py().isoformat()} but {than}.",
            remedy=f"Set '{known}' to the moment from which the row could be used, and push it "
            "then.",
        )
    return table


def given_rows(view: FeatureView, table: pa.Table) -> list[Given]:
    """Return what is to be known of each pushed row."""
    columns = plain_columns(table)
    names = table.column_names
    by_name = dict(zip(names, columns, strict=True))
    event, known = (by_name[name] for name in source_times(view))
    keys = entity_keys(view, by_name, table.num_rows)
    windows = view.compute if isinstance(view.compute, Windows) else None
    out = []
    for position, values in enumerate(zip(*columns, strict=True)):
        if windows is None:
            identity = keys[position] + event[position].to_bytes(8, "big", signed=True)
        elif windows.row_id is not None:
            identity = repr(by_name[windows.row_id][position]).encode()
        else:
            identity = None
        digest = blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        out.append(
            Given(position, keys[position], identity, event[position], known[position], digest)
        )
    return out


def batch_digest(given: Sequence[Given]) -> str:
    """Return the digest of a push, whatever the order of its rows."""
    digest = blake2b(digest_size=16)
    for each in sorted(row.digest for row in given):
        digest.update(each)
    return f"content:{digest.hexdigest()}"


def plain_columns(table: pa.Table) -> list[Plain]:
    """Return columns as plain values: an instant in microseconds, a date in days since 1970."""
    import pyarrow as pa

    def plain(column: pa.ChunkedArray) -> Plain:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        values: Plain = column.to_pylist()
        return values

    return [plain(column) for column in table.columns]


def entity_keys(view: FeatureView, columns: Mapping[str, Plain], rows: int) -> list[bytes]:
    """Return the entity of each row as the online store names it."""
    if not view.keys:
        return [ENTITYLESS] * rows
    prefix = key_prefix(view.keys)
    parts = [
        (columns[e.column], KEY_PARTS[e.dtype])
        for e in sorted(view.entities, key=lambda e: e.column)
    ]
    return [prefix + b"".join(part(column[i]) for column, part in parts) for i in range(rows)]


def _table_of(view: FeatureView, rows: Sequence[Mapping[str, Any]], where: str) -> pa.Table:
    import pyarrow as pa

    wrong = next((r for r in rows if not isinstance(r, Mapping)), None)
    if wrong is not None:
        raise BoundaryError(
            f"{where} has a row of type {type(wrong).__name__}, not a dict.",
            remedy="Give a table, a pandas frame or a list of dicts.",
        )
    names = list(dict.fromkeys(name for row in rows for name in row)) or view.source_schema.names
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        naive = next((v for v in values if isinstance(v, datetime) and v.tzinfo is None), None)
        if naive is not None:  # beside aware ones Arrow would take it for UTC
            raise BoundaryError(
                f"{where} has a time without a zone in '{name}': {naive.isoformat()}.",
                remedy="Say the zone, for example with tzinfo=UTC.",
            )
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise BoundaryError(
                f"{where} mixes types in '{name}': {str(error).rstrip('.')}.",
                remedy="Give every column one type.",
            ) from error
    return pa.table(columns)


def _time(view: FeatureView, role: Role, given: str | None, fallback: str) -> str:
    schema = view.source_schema
    if given is not None:
        return given
    found = schema.with_role(role)
    if len(found) == 1:
        return found[0].name
    if fallback in schema and schema.column(fallback).dtype == "timestamp":
        return fallback
    raise DefinitionError(
        f"The source of stream view '{view.name}' does not say its {role.replace('_', ' ')}.",
        remedy=f'Give one column of it Col(role="{role}").',
    )
