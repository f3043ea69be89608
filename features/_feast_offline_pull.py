"""This module reads a range of a source's rows, all or the latest of each entity, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from features._feast_offline_source import ParquetRows
from features._feast_offline_sql import (
    compared,
    connected,
    parquet_scan,
    quoted,
    text,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.repo_config import RepoConfig


@dataclass(frozen=True, kw_only=True)
class Pull:
    """This is a range of a source's rows.

    Args:
        source: The rows.
        keys: Columns that identify the entity; none for rows about everybody.
        features: Columns of the features.
        event: Column of the time that a row is about.
        known: Column of the time from which it could be used; None where none is said.
        as_known: Whether rows that became known after the end are left out.
        start: The first event time; None for the first there is.
        end: The last event time; None for the last there is.
        latest: Whether only the latest row of each entity is wanted.
    """

    source: ParquetRows
    keys: Sequence[str]
    features: Sequence[str]
    event: str
    known: str | None
    as_known: bool
    start: datetime | None
    end: datetime | None
    latest: bool = False

    def sql(self) -> str:
        """Return the query, for DuckDB with the time zone UTC."""
        from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

        named = [*self.keys, *self.features, self.event, *([self.known] if self.known else [])]
        columns = [self._column(name) for name in dict.fromkeys(named)]
        if not self.keys and DUMMY_ENTITY_ID not in named:
            columns.append(f"{text(DUMMY_ENTITY_VAL)} AS {quoted(DUMMY_ENTITY_ID)}")
        query = f"SELECT {', '.join(columns)}\nFROM {parquet_scan(self.source.files)}"
        conditions = self._conditions()
        if conditions:
            query += "\nWHERE " + "\n  AND ".join(conditions)
        return query + (f"\nQUALIFY {self._is_latest()}" if self.latest else "")

    def table(self, config: RepoConfig) -> pa.Table:
        """Run the query."""
        with connected(config) as connection:
            return connection.sql(self.sql()).to_arrow_table()

    def _column(self, name: str) -> str:
        column = self.source.column(name)
        return quoted(column) if column == name else f"{quoted(column)} AS {quoted(name)}"

    def _conditions(self) -> list[str]:
        found = []
        if self.start is not None:
            found.append(self._compared(self.event, ">=", self.start))
        if self.end is not None:
            found.append(self._compared(self.event, "<=", self.end))
            if self.known and self.as_known:
                found.append(self._compared(self.known, "<=", self.end))
        return found

    def _compared(self, name: str, with_: str, moment: datetime) -> str:
        column = self.source.column(name)
        return compared(column, self.source.schema.field(column).type, with_, moment)

    def _is_latest(self) -> str:
        times = [self.event, *([self.known] if self.known else [])]
        order = [f"{quoted(self.source.column(name))} DESC NULLS LAST" for name in times]
        keys = ", ".join(quoted(self.source.column(name)) for name in self.keys)
        by = f"PARTITION BY {keys} " if keys else ""
        # of equals the last row of the last file, as in the join
        order += ["file_index DESC", "file_row_number DESC"]
        return f"row_number() OVER ({by}ORDER BY {', '.join(order)}) = 1"
