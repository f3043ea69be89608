"""This module writes and runs the SQL of the offline store, in DuckDB over Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from feast.repo_config import RepoConfig


def connected(config: RepoConfig) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB in memory whose times are UTC and whose paths begin in the repository."""
    import duckdb

    folder = str(Path(config.repo_path or ".").absolute())
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET file_search_path = {text(folder)}")
    return connection


def parquet_scan(files: Sequence[Path | str]) -> str:
    """Return the SQL that reads Parquet files."""
    return f"read_parquet([{', '.join(text(str(file)) for file in files)}])"


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def compared(column: str, kind: pa.DataType, with_: str, moment: datetime) -> str:
    """Return the SQL that compares a time with a moment; without a zone either is UTC.

    Args:
        column: The column.
        kind: Its type in the Parquet file.
        with_: The comparison, such as "<=".
        moment: The moment.
    """
    import pyarrow as pa

    since = microsecond(moment)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # DuckDB would round to microseconds
        return f"epoch_ns({quoted(column)}) {with_} {since * 1000}"
    return f"epoch_us({quoted(column)}) {with_} {since}"


def microsecond(moment: datetime) -> int:
    """Return a moment as microseconds since 1970; without a zone it is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
