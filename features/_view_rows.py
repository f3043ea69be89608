"""This module computes a view's rows and holds them to what the view promises."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from headrace.errors import DataError, LeakageError
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView

EXPIRES = "expires_at"


def computed_rows(view: FeatureView, source: pa.Table) -> pa.Table:
    """Compute a view's rows; see `FeatureView.rows`."""
    from headrace.conform import as_arrow, conform

    read = conform(source, view.source_schema, where=f"The source of view '{view.name}'")
    made = view.compute(read)
    if made is None:
        raise DataError(
            f"View '{view.name}' computed nothing: `{view.compute.__name__}` returned None.",
            remedy="Return the table of the view's rows.",
        )
    table = as_arrow(made)
    if view.ttl is not None and view.event_time in table.column_names:
        table = _with_expiry(table, view.event_time, view.ttl)
    table = conform(table, view.schema, where=f"What view '{view.name}' computed")
    require_known_after_event(table, view.schema)
    return table


def require_known_after_event(table: pa.Table, schema: TableSchema) -> None:
    """Refuse view rows that claim to be known before they happened.

    Raises:
        LeakageError: A row's known time lies before its event time; the first is shown.
    """
    import pyarrow.compute as pc

    event, known = schema.the("event_time").name, schema.the("known_time").name
    early = pc.less(table.column(known), table.column(event))
    count = pc.sum(early).as_py() or 0
    if not count:
        return
    row = early.index(True).as_py()
    keys = ", ".join(f"{c.name} {table[c.name][row].as_py()!r}" for c in schema.with_role("entity"))
    raise LeakageError(
        f"{count:,} rows of view '{schema.name}' claim to be known before they happened, the first "
        f"in row {row:,} ({keys}): '{known}' is {table[known][row].as_py().isoformat()} but "
        f"'{event}' is {table[event][row].as_py().isoformat()}.",
        remedy=f"Set '{known}' to the moment from which the value could be used.",
    )


def _with_expiry(table: pa.Table, event_time: str, ttl: timedelta) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(table.schema.field(event_time).type):
        return table  # conform says what is wrong with it
    expires = pc.add(table.column(event_time), pa.scalar(ttl, pa.duration("us")))
    kept = [n for n in table.column_names if n != EXPIRES]
    return table.select(kept).append_column(EXPIRES, expires)
