"""This module reads the times that a table is cut by, on the clock of a zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, HeadraceError, ParameterError, did_you_mean
from headrace.partitioning import period_named
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TIMES = ("timestamp", "date")


def time_is_known(call: PlannedCall) -> Sequence[Finding]:
    """Find a column that is missing or no time, and a period or zone that does not exist."""
    found = []
    schema = call.schema("table")
    if schema is not None:
        try:
            column_of(schema, call.parameters.get("column"))
        except DefinitionError as error:
            found.append(
                Finding(problem=error.problem, remedy=error.remedy, rule="time", input="table")
            )
    try:
        if "period" in call.parameters:
            period_named(call.parameters["period"])
        zone_named(call.parameters.get("timezone", "UTC"))
    except HeadraceError as error:
        found.append(Finding(problem=error.problem, remedy=error.remedy, rule="parameter"))
    return found


def column_of(schema: TableSchema, column: str | None) -> str:
    """Return the time column that is meant.

    Args:
        schema: The table's.
        column: Its name; None means the one of role event_time.

    Raises:
        DefinitionError: There is no such column, or it is no time.
    """
    if column is None:
        found = schema.with_role("event_time")
        if len(found) != 1:
            raise DefinitionError(
                f"Schema '{schema.name}' has {len(found)} columns with role 'event_time', so it is "
                "not clear what to cut by.",
                remedy="Name the time: `column=...`.",
            )
        return found[0].name
    if column not in schema:
        raise DefinitionError(
            f"Schema '{schema.name}' has no column '{column}' to cut by."
            f"{did_you_mean(column, schema.names)}",
            remedy="Name a column of the table.",
        )
    dtype = schema.column(column).dtype
    if dtype not in _TIMES:
        raise DefinitionError(
            f"Column '{column}' of schema '{schema.name}' is {dtype}, not a time.",
            remedy="Name a column of datetime or date.",
        )
    return column


def time_column(schema: TableSchema | None, rows: pa.Table, column: str | None) -> str:
    """Return the time column that is meant; a table without a schema is judged by its content."""
    import pyarrow as pa

    from headrace.conform import inferred_schema

    if schema is None:
        times = [f.name for f in rows.schema if pa.types.is_temporal(f.type)]
        schema = inferred_schema(rows.select([n for n in rows.column_names if n in times]))
    return column_of(schema or TableSchema(name="inferred", columns=()), column)


def local_times(rows: pa.Table, column: str, timezone: str) -> pd.DatetimeIndex:
    """Return a column's times as a zone's clock shows them.

    Args:
        rows: The rows.
        column: A column of instants or dates.
        timezone: Name of a zone.

    Raises:
        ParameterError: There is no such zone.
        DataError: A time is null.
    """
    import pandas as pd
    import pyarrow as pa

    zone = zone_named(timezone)
    nulls = rows[column].null_count
    if nulls:
        raise DataError(
            f"The time '{column}' is null in {nulls:,} of {rows.num_rows:,} rows, which belong to "
            "no period.",
            remedy="Cut by a time that every row has, or take those rows out first.",
        )
    instants = pa.types.is_timestamp(rows[column].type) and rows[column].type.tz is not None
    times = pd.DatetimeIndex(rows[column].cast(pa.timestamp("us")).to_numpy())
    return times.tz_localize("UTC").tz_convert(zone).tz_localize(None) if instants else times


def zone_named(timezone: str) -> ZoneInfo:
    """Return a zone by name.

    Raises:
        ParameterError: There is no such zone.
    """
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ParameterError(
            f"There is no time zone '{timezone}'.",
            remedy='Name it as in "America/New_York" or "UTC".',
        ) from error
