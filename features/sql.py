"""This module runs one SQL query over Arrow tables, for views that are windows over time.

Inside the query an instant is a number, microseconds since 1970 in UTC, so that a window of a day
is `RANGE BETWEEN 86400000000 PRECEDING AND CURRENT ROW` and no session's time zone matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def query(text: str, *, instants: Sequence[str] = (), **tables: pa.Table) -> pa.Table:
    """Return the result of a DuckDB query.

    Args:
        text: One SELECT. Where several rows could be first, say in it which: a view is pure.
        instants: Columns of the result that are instants, in microseconds.
        **tables: The tables that the query reads, by the name it uses.
    """
    import duckdb
    import pyarrow as pa

    # a view is a function of its source: its SQL reads no files
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would go to standard output
        for name, table in tables.items():
            connection.register(name, _with_numbers(table))
        result = connection.sql(text).to_arrow_table()
    for name in instants:
        numbers = result.column(name).cast(pa.int64())
        position = result.schema.get_field_index(name)
        result = result.set_column(position, name, numbers.cast(pa.timestamp("us", tz="UTC")))
    return result


def _with_numbers(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            instants = table.column(position).cast(pa.timestamp("us", tz="UTC"))
            table = table.set_column(position, field.name, instants.cast(pa.int64()))
    return table
