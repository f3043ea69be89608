"""This module computes a view's rows and holds them to what the view promises."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, HeadraceError, LeakageError, line_that_raised
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView

EXPIRES = "expires_at"
_SHOWN = 3  # examples in a message


def computed_rows(view: FeatureView, source: pa.Table) -> pa.Table:
    """Compute a view's rows; see `FeatureView.rows`."""
    from headrace.conform import as_arrow, conform

    read = conform(source, view.source_schema, where=f"The source of view '{view.name}'")
    try:
        made = _made(view, read)
    except HeadraceError:
        raise
    except Exception as error:
        raise DataError(
            f"View '{view.name}' could not be computed: {_raised(view, error)}.",
            remedy="Correct what computes it, or the source that it does not expect.",
        ) from error
    if made is None:
        raise DataError(
            f"View '{view.name}' computed nothing: {_named(view)} returned None.",
            remedy="Return the table of the view's rows.",
        )
    table = as_arrow(made)
    if view.ttl is not None and view.event_time in table.column_names:
        table = _with_expiry(table, view.event_time, view.ttl)
    table = conform(table, view.schema, where=f"What view '{view.name}' computed")
    require_known_after_event(table, view.schema)
    if callable(view.compute) or isinstance(view.compute, str):  # windows are so, and many
        require_said_once(table, view.schema)
    return table


def _made(view: FeatureView, read: pa.Table) -> Any:
    compute = view.compute
    if isinstance(compute, str):
        from features.sql import query

        times = [c.name for c in view.schema.columns if c.dtype == "timestamp"]
        instants = [name for name in times if name != EXPIRES]
        return query(compute, instants=instants, source=read)
    if callable(compute):
        return compute(read)
    return compute.rows(read, view)


def _named(view: FeatureView) -> str:
    name = getattr(view.compute, "__name__", None)
    return f"`{name}`" if name else f"its {'SQL' if isinstance(view.compute, str) else 'windows'}"


def _raised(view: FeatureView, error: Exception) -> str:
    """Return what was raised, and in which line of the view's own file if it got so far."""
    said = f"{_named(view)} raised {type(error).__name__}: {' '.join(str(error).split())}"
    place = line_that_raised(error, view.compute) if callable(view.compute) else ""
    return f"{said.rstrip('.')}, in {place}" if place else said.rstrip(".")


def require_known_by_now(table: pa.Table, schema: TableSchema) -> None:
    """Refuse view rows that claim to be known later than the clock says.

    Raises:
        LeakageError: There are such rows; the first few are shown.
    """
    import pyarrow.compute as pc

    from headrace.clock import current_clock

    now = current_clock().now()
    known = schema.the("known_time").name
    late = pc.indices_nonzero(pc.greater(table.column(known), now))
    if not len(late):
        return
    keys = [c.name for c in schema.with_role("entity")]
    examples = []
    for row in late[:_SHOWN].to_pylist():
        said = [f"{key} {table[key][row].as_py()!r}" for key in keys]
        said.append(f"{known} {table[known][row].as_py().isoformat()}")
        examples.append(f"row {row:,} ({', '.join(said)})")
    raise LeakageError(
        f"{len(late):,} rows of view '{schema.name}' claim to be known after now, "
        f"{now.isoformat()}: {'; '.join(examples)}.",
        remedy=f"Set '{known}' to the moment from which the value could be used; leave forecasts "
        "of later moments out until then.",
    )


def require_said_once(table: pa.Table, schema: TableSchema) -> None:
    """Refuse view rows of which two are about the same entity, event and known time.

    Raises:
        DataError: There are such rows; the first few are shown.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    times = [schema.the("event_time").name, schema.the("known_time").name]
    keys = [c.name for c in schema.with_role("entity")]
    numbered = table.select([*keys, *times]).append_column("row", pa.array(range(table.num_rows)))
    grouped = numbered.group_by([*keys, *times]).aggregate([("row", "count"), ("row", "min")])
    if grouped.num_rows == table.num_rows:
        return
    doubled = grouped.filter(pc.greater(grouped.column("row_count"), 1)).sort_by("row_min")
    examples = []
    for one in doubled.slice(0, _SHOWN).to_pylist():
        said = [f"{key} {one[key]!r}" for key in keys]
        said += [f"{time} {one[time].isoformat()}" for time in times]
        examples.append(
            f"{one['row_count']} rows from row {one['row_min']:,} on ({', '.join(said)})"
        )
    raise DataError(
        f"View '{schema.name}' says more than one thing about {doubled.num_rows:,} "
        f"{'combination' if doubled.num_rows == 1 else 'combinations'} of entity, event and known "
        f"time, the first: {'; '.join(examples)}.",
        remedy="Compute one row for each: join, aggregate or take the last.",
    )


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
