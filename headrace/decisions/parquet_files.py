"""This module writes Parquet files of a log, each whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.decisions.fields import FIELDS, schema_of
from headrace.decisions.folder import LogFolder, sync
from headrace.decisions.manifest import ParquetFile
from headrace.decisions.reading import read_frames
from headrace.decisions.tables import tables_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_ROW_GROUP = 50_000
_MOMENTS = ("logged", "decided_at")


class TableFile:
    """This is a Parquet file that is being written; it is seen when it is whole.

    Args:
        folder: The folder of the log.
        table: Which table it is of.
        name: Its name, without the ending.
    """

    def __init__(self, folder: LogFolder, table: str, name: str) -> None:
        self._table, self._name = table, name
        self._path = folder.parquet(table, name)
        self._draft = folder.parquet(table, f".{name}")
        self._writer: parquet.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows, self._first, self._last = 0, 1 << 62, -(1 << 62)

    def add(self, rows: pa.Table) -> None:
        """Add rows of the table's schema.

        Raises:
            OSError: They cannot be written.
        """
        if not len(rows):
            return
        self._waiting.append(rows)
        first, last = span_of(rows)
        self._first, self._last = min(self._first, first), max(self._last, last)
        self._rows += len(rows)
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._write()

    def publish(self) -> ParquetFile | None:
        """Put the file in its place, on the disk; None when it has no rows.

        Raises:
            OSError: It cannot be written.
        """
        if not self._rows:
            return None
        self._write()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        sync(self._draft)
        size = self._draft.stat().st_size
        self._draft.replace(self._path)
        sync(self._path.parent)
        return ParquetFile(
            table=self._table,
            name=self._name,
            rows=self._rows,
            bytes=size,
            first=self._first,
            last=self._last,
        )

    def discard(self) -> None:
        """Leave nothing of a file that was not published."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._draft.unlink(missing_ok=True)

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if self._writer is None:
            self._draft.parent.mkdir(parents=True, exist_ok=True)
            self._writer = parquet.ParquetWriter(
                self._draft, schema_of(self._table), compression="zstd"
            )
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
            self._waiting.clear()


def write_tables(folder: LogFolder, name: str, size: int) -> list[ParquetFile]:
    """Write the tables of a sealed segment; the files count when the manifest names them.

    Raises:
        OSError: One cannot be written.
        DamagedArtifactError: A record is damaged.
    """
    path = folder.log(name)
    fd = os.open(path, os.O_RDONLY)
    with ExitStack() as stack:
        stack.callback(os.close, fd)
        files = {table: TableFile(folder, table, name) for table in FIELDS}
        for file in files.values():
            stack.callback(file.discard)
        for table, rows in tables_of(read_frames(fd, path, 0, size, sealed=True), name):
            files[table].add(rows)
        return _published(files.values())


def write_merged(folder: LogFolder, name: str, sources: Sequence[ParquetFile]) -> ParquetFile:
    """Write the rows of several files of one table as one.

    Raises:
        OSError: It cannot be written, or one cannot be read.
    """
    table = sources[0].table
    file = TableFile(folder, table, name)
    try:
        for source in sources:
            for rows in rows_of(folder.parquet(table, source.name), table):
                file.add(rows)
        return _published([file])[0]
    finally:
        file.discard()


def rows_of(path: Path, table: str) -> Iterator[pa.Table]:
    """Yield the rows of a file, with null in columns that it is older than.

    Raises:
        OSError: It cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = schema_of(table)
    with parquet.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number)
            columns = [
                rows.column(field.name).cast(field.type)
                if field.name in rows.schema.names
                else pa.nulls(len(rows), field.type)
                for field in schema
            ]
            yield pa.Table.from_arrays(columns, schema=schema)


def measured(folder: LogFolder, file: ParquetFile) -> ParquetFile:
    """Return what a file of a log that is older than manifests holds.

    Raises:
        OSError: It cannot be read.
    """
    from pyarrow import parquet

    path = folder.parquet(file.table, file.name)
    with parquet.ParquetFile(path) as opened:
        names = [name for name in _MOMENTS if name in opened.schema_arrow.names]
        rows = opened.read(names)
    first, last = span_of(rows) if len(rows) else (0, 0)
    return ParquetFile(
        table=file.table,
        name=file.name,
        rows=len(rows),
        bytes=path.stat().st_size,
        first=first,
        last=last,
    )


def span_of(rows: pa.Table) -> tuple[int, int]:
    """Return when rows were logged first, and logged or decided last, in us."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = {
        name: pc.min_max(rows.column(name).cast(pa.int64())).as_py()
        for name in _MOMENTS
        if name in rows.schema.names
    }
    last = [each["max"] for each in found.values() if each["max"] is not None]
    return found["logged"]["min"], max(last)


def _published(files: Iterable[TableFile]) -> list[ParquetFile]:
    return [found for file in files if (found := file.publish()) is not None]
