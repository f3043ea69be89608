"""This module counts texts: how many different ones there are, and the most frequent.

DuckDB counts, because it puts on disk what does not fit into the memory it may use.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_TOP = 10
_MEMORY = "256MB"
_LONGEST = 200  # characters of a shown value


def described_texts(column: pa.ChunkedArray) -> dict[str, Any]:
    """Return how many different values a column has, and the most frequent with their counts.

    Args:
        column: Texts or categories; nulls are not counted.

    Returns:
        `distinct`, and `top`: [{value, count, share}], the most frequent first, of equally frequent
        ones the first in the alphabet.
    """
    import pyarrow as pa

    text = column.cast(pa.large_string())
    with _counting(pa.table({"value": text})) as connection:
        rows = connection.execute(
            f"""
            SELECT value, n, count(*) OVER () AS different, sum(n) OVER () AS total
            FROM (SELECT value, count(*) AS n FROM given WHERE value IS NOT NULL GROUP BY value)
            ORDER BY n DESC, value LIMIT {_TOP}
            """  # noqa: S608  a constant
        ).fetchall()
    return {
        "distinct": rows[0][2] if rows else 0,
        "top": [
            {
                "value": value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…",
                "count": count,
                "share": float(f"{count / int(total):.9g}"),
            }
            for value, count, _, total in rows
        ],
    }


def distinct_rows(table: pa.Table) -> int:
    """Return how many different rows a table has."""
    import pyarrow as pa

    plain = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in table.schema]
    table = table.cast(pa.schema(list(zip(table.column_names, plain, strict=True))))
    with _counting(table) as connection:
        found = connection.execute("SELECT count(*) FROM (SELECT DISTINCT * FROM given)").fetchone()
    return int(found[0]) if found else 0


@contextlib.contextmanager
def _counting(table: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET temp_directory = '{folder}'")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET enable_progress_bar = false")  # it would write to standard output
        connection.register("given", table)
        yield connection
