"""This module reads what is to be materialized: rows in the order of their keys, newest first.

The rows are a table in memory or a published Parquet file. DuckDB checks and sorts them with
bounded memory, on disk where it must: in the order of the keys SQLite writes several times as fast,
and a run that was killed can go on behind the last key that it wrote.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features._online_batch import EVENT, KNOWN, UNTIL, feature_name, key_name
from features._online_layout import Layout
from features._online_times import SECOND, shown
from headrace.errors import DamagedArtifactError, DataError, LeakageError, StoreError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MEMORY = "256MB"  # for sorting; the rest goes to disk
_ROW = "row"  # position in the source


@dataclass(frozen=True, kw_only=True)
class Window:
    """These are the rows known after a moment, up to another; in microseconds since 1970 UTC.

    Args:
        since_us: The earlier moment, not in it; None for all.
        until_us: The later one, in it.
    """

    since_us: int | None
    until_us: int

    @property
    def condition(self) -> str:
        """The window in SQL."""
        until = f"{KNOWN} <= {self.until_us}"
        return until if self.since_us is None else f"{KNOWN} > {self.since_us} AND {until}"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """These are the number and the fingerprint of rows, whatever their order.

    Args:
        rows: How many.
        digests: The sum of their digests.
    """

    rows: int
    digests: int

    def __sub__(self, part: Counted) -> Counted:
        return Counted(rows=self.rows - part.rows, digests=self.digests - part.digests)

    def __str__(self) -> str:
        return f"{self.rows}:{self.digests:x}"


NOTHING = Counted(rows=0, digests=0)


class RowSource:
    """These are the rows of a view, as plain values: instants and dates in microseconds.

    Args:
        connection: DuckDB, with the rows in a view `source`.
        layout: How its rows are laid out.
        where: Whose rows they are, to begin a message with.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, layout: Layout, where: str) -> None:
        self._execute, self._sql = connection.execute, connection.sql
        self._layout, self._where = layout, where
        connection.execute(f"CREATE TEMP VIEW plain AS SELECT {_plain(layout)} FROM source")  # noqa: S608

    def check(self, until_us: int, now_us: int) -> None:
        """Refuse rows that cannot be stored, before any is.

        Args:
            until_us: Rows known later are not looked at.
            now_us: The present moment.

        Raises:
            DataError: A key or time is null, or an instant is not in whole seconds.
            LeakageError: A row is known before it happened, or not known yet.
        """
        layout, tests = self._layout, []
        for i, column in enumerate(layout.keys):
            tests.append((f"{key_name(i)} IS NULL", column))
        tests += [(f"{EVENT} IS NULL", layout.event_time), (f"{KNOWN} IS NULL", layout.known_time)]
        for i, feature in enumerate(layout.columns):
            if feature.dtype == "timestamp":
                tests.append((f"{feature_name(i)} % {SECOND} <> 0", feature.name))
        tests.append((f"{KNOWN} < {EVENT}", ""))
        tests.append((f"{KNOWN} > {now_us}", ""))
        first = ", ".join(f"min({_ROW}) FILTER ({test})" for test, _ in tests)
        considered = f"{KNOWN} IS NULL OR {KNOWN} <= {until_us}"
        found = self._execute(f"SELECT {first} FROM plain WHERE {considered}").fetchall()[0]  # noqa: S608
        for (test, column), row in zip(tests, found, strict=True):
            if row is not None:
                raise self._refused(test, column, int(row), now_us)

    def known_by(self, moments: Sequence[int]) -> dict[int, Counted]:
        """Count the rows known by some moments, in microseconds since 1970, in one pass."""
        names = [key_name(i) for i in range(len(self._layout.keys))]
        names += [EVENT, KNOWN, *(feature_name(i) for i in range(len(self._layout.columns)))]
        counts = ", ".join(
            f"count(*) FILTER ({KNOWN} <= {at}), sum(digest) FILTER ({KNOWN} <= {at})"
            for at in moments
        )
        digested = f"SELECT {KNOWN}, hash({', '.join(names)}) AS digest FROM plain"  # noqa: S608
        found = self._execute(f"SELECT {counts} FROM ({digested})").fetchall()[0]  # noqa: S608
        each = zip(moments, found[::2], found[1::2], strict=True)
        return {at: Counted(rows=rows, digests=int(sums or 0)) for at, rows, sums in each}

    def batches(
        self, window: Window, *, after: Sequence[str | int] | None, size: int
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yield for each entity its newest row known in a window, in the order of the keys.

        Where values lapse, `until` says when the first row after the window is known, and an entity
        that has rows only then has nothing else.

        Args:
            window: The window.
            after: The key of the last entity that is not wanted; None for all.
            size: Rows to read at a time.

        Yields:
            Some entities' rows, and how many of the window's rows were read for them.
        """
        order = _order(self._layout)
        behind = "true"
        if after is not None and order:
            behind = f"({', '.join(order)}) > ({_order_of(self._layout, after)})"
        keys = [key_name(i) for i in range(len(self._layout.keys))]
        # all names are ours, numbered
        asked = f"(SELECT 0 AS one, * FROM plain WHERE {window.condition} AND {behind})"  # noqa: S608
        if self._layout.lapses:
            each = ", ".join(["one", *keys])
            asked += (
                f" FULL JOIN (SELECT {', '.join(['0 AS one', *keys])}, min({KNOWN}) AS {UNTIL} "  # noqa: S608
                f"FROM plain WHERE {KNOWN} > {window.until_us} AND {behind} GROUP BY {each}) "
                f"USING ({each})"
            )
        query = (
            f"SELECT * FROM {asked} "  # noqa: S608
            f"ORDER BY {', '.join([*order, f'{EVENT} DESC', f'{KNOWN} DESC', f'{_ROW} DESC'])}"
        )
        last: tuple[Any, ...] | None = None
        for rows in self._sql(query).to_arrow_reader(size):
            first, last = _first_of_each(rows, keys, last)
            yield rows.filter(first), rows.num_rows - rows.column(EVENT).null_count

    def _refused(self, test: str, column: str, row: int, now_us: int) -> DataError:
        layout = self._layout
        query = f"SELECT * FROM plain WHERE {_ROW} = {row}"  # noqa: S608
        values = self._sql(query).to_arrow_table().to_pylist()[0]
        keys = [f"{name} {values[key_name(i)]!r}" for i, name in enumerate(layout.keys)]
        about = f"{self._where} {', '.join(['row ' + format(row, ','), *keys])}"
        if test == f"{KNOWN} < {EVENT}":
            return LeakageError(
                f"{about}: claims to be known at {shown(values[KNOWN])}, before it happened at "
                f"{shown(values[EVENT])}.",
                remedy="Give it the moment from which it could be used.",
            )
        if test.startswith(f"{KNOWN} > "):
            return LeakageError(
                f"A row of view '{layout.name}' is known only from {shown(values[KNOWN])}, and now "
                f"it is {shown(now_us)}: the online store never holds the future.",
                remedy="Push it once it is known.",
            )
        if test.endswith("IS NULL"):
            return DataError(
                f"{about}: '{column}' is null.",
                remedy="Leave rows without an entity or a time out.",
            )
        feature = feature_name([c.name for c in layout.columns].index(column))
        return DataError(
            f"{about}: the feature '{column}' is {shown(values[feature])}, but Feast keeps "
            "instants online in whole seconds.",
            remedy="Round it to seconds where the view computes it, so that it is the same "
            "offline.",
        )


@contextlib.contextmanager
def rows_of_table(layout: Layout, rows: pa.Table) -> Iterator[RowSource]:
    """Open rows in memory.

    Args:
        layout: How the view's rows are laid out.
        rows: Its rows, conformed.
    """
    import numpy as np

    numbered = rows.append_column("file_row_number", [np.arange(rows.num_rows)])
    with _duckdb(layout, None) as connection:
        connection.register("source", numbered)
        yield RowSource(connection, layout, f"What is materialized of view '{layout.name}',")


@contextlib.contextmanager
def rows_of_file(layout: Layout, file: Path) -> Iterator[RowSource]:
    """Open rows in a Parquet file, which is read a part at a time.

    Args:
        layout: How the view's rows are laid out.
        file: The file.

    Raises:
        StoreError: It cannot be read.
        DamagedArtifactError: It is no whole Parquet file.
    """
    quoted = str(file).replace("'", "''")
    read = f"read_parquet('{quoted}', file_row_number = true)"
    with _duckdb(layout, file) as connection:
        connection.execute(f"CREATE TEMP VIEW source AS SELECT * FROM {read}")  # noqa: S608
        yield RowSource(connection, layout, f"The published rows of view '{layout.name}',")


@contextlib.contextmanager
def _duckdb(layout: Layout, file: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET temp_directory = '{}'".format(folder.replace("'", "''")))
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET enable_progress_bar = false")
        try:
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise StoreError(
                f"The rows of view '{layout.name}' cannot be sorted: {_first_line(error)}.",
                remedy="Make room in the folder for temporary files, then materialize again.",
            ) from error
        except duckdb.Error as error:
            if file is None:
                raise
            raise _unreadable(layout, file, error) from error


def _unreadable(layout: Layout, file: Path, error: duckdb.Error) -> StoreError:
    if not file.is_file():
        return StoreError(
            f"The published rows of view '{layout.name}' are not there: {file}.",
            remedy="Publish the view again.",
        )
    return DamagedArtifactError(
        f"The published rows of view '{layout.name}' cannot be read: {_first_line(error)}.",
        remedy="Remove the file and publish the view again; what is online stays.",
    )


def _plain(layout: Layout) -> str:
    """Return what is selected of the source, with one type each for a table and for a file."""
    columns = [
        f"CAST({_quoted(e.name)} AS {'BIGINT' if e.dtype == 'int' else 'VARCHAR'}) AS {key_name(i)}"
        for i, e in enumerate(layout.entities)
    ]
    columns += [
        f"epoch_us({_quoted(layout.event_time)}) AS {EVENT}",
        f"epoch_us({_quoted(layout.known_time)}) AS {KNOWN}",
    ]
    for i, column in enumerate(layout.columns):
        name = _quoted(column.name)
        plain = {
            "float": f"CASE WHEN isnan({name}) THEN NULL ELSE CAST({name} AS DOUBLE) END",
            "int": f"CAST({name} AS BIGINT)",
            "bool": f"CAST({name} AS BOOLEAN)",
            "timestamp": f"epoch_us({name})",
            "date": f"epoch_us({name})",
        }.get(column.dtype, f"CAST({name} AS VARCHAR)")
        columns.append(f"{plain} AS {feature_name(i)}")
    return ", ".join([*columns, f"file_row_number AS {_ROW}"])


def _order(layout: Layout) -> list[str]:
    """Return by what entities are ordered: as the bytes of their keys are."""
    order = []
    for i, entity in layout.sorted_entities:
        name = key_name(i)
        if entity.dtype == "int":  # eight bytes, the lowest first
            swapped = " + ".join(
                f"CAST(({name} >> {8 * byte}) & 255 AS UBIGINT) * {1 << 8 * (7 - byte)}::UBIGINT"
                for byte in range(8)
            )
            order.append(f"({swapped})")
        else:  # its length goes first
            order += [f"strlen({name})", name]
    return order


def _order_of(layout: Layout, key: Sequence[str | int]) -> str:
    """Return where an entity stands in the order."""
    values: list[str] = []
    for i, _ in layout.sorted_entities:
        value = key[i]
        if isinstance(value, int):
            swapped = int.from_bytes(value.to_bytes(8, "little", signed=True), "big")
            values.append(f"{swapped}::UBIGINT")
        else:
            encoded = value.encode()
            values += [str(len(encoded)), f"decode(from_hex('{encoded.hex()}'))"]
    return ", ".join(values)


def _first_of_each(
    rows: pa.RecordBatch, keys: Sequence[str], last: tuple[Any, ...] | None
) -> tuple[pa.Array, tuple[Any, ...]]:
    """Return which rows are the first of their entity, and the entity of the last one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    first = np.zeros(rows.num_rows, bool)
    for name in keys:
        column = rows.column(name)
        first[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    first[0] = last is None or last != tuple(rows.column(name)[0].as_py() for name in keys)
    ends = tuple(rows.column(name)[-1].as_py() for name in keys)
    return pa.array(first), ends


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
