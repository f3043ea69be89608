"""This module writes Parquet for the offline store: pushed rows, saved data sets, logs.

Nothing that is there is written anew. A push adds files to the source's folder, in one folder for
each day that its rows are about; a later file's name sorts after an earlier one's, so that of rows
that say the same time the one pushed last counts.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from features._feast_offline_source import (
    ParquetRows,
    file_source,
    local_path,
    parquet_files,
    parquet_rows,
)
from headrace.errors import BoundaryError, DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.feature_logging import LoggingConfig
    from feast.feature_view import FeatureView
    from feast.repo_config import RepoConfig
    from feast.saved_dataset import SavedDatasetStorage

_ROWS_A_FILE = 1_000_000


def append_rows(config: RepoConfig, view: FeatureView, table: pa.Table) -> None:
    """Add rows to the folder that a view's batch source reads.

    Args:
        config: Says where relative paths begin.
        view: The view.
        table: Rows with the columns of the source, in its order.

    Raises:
        DefinitionError: The source is one file, which would have to be written anew.
        BoundaryError: The columns are not the source's.
    """
    asked_by = f"Feature view '{view.name}'"
    batch_source = file_source(view.batch_source, asked_by=asked_by)
    path = local_path(config, batch_source.path, asked_by=asked_by)
    if path.is_file() or (not path.exists() and path.suffix):
        raise DefinitionError(
            f"{asked_by} reads one file, {path}: each push would have to write all of it anew.",
            remedy="Move the file into a folder and make the folder the path of the FileSource.",
        )
    time = batch_source.timestamp_field
    if parquet_files(path):
        source = parquet_rows(config, batch_source, asked_by=asked_by)
        table = _as_there(table, source, asked_by)
        time = source.column(time)
    for day, rows in _by_day(table, time):
        _add_file(rows, path / day)


def _as_there(table: pa.Table, source: ParquetRows, asked_by: str) -> pa.Table:
    import pyarrow as pa

    if table.column_names != source.schema.names:
        raise BoundaryError(
            f"{asked_by} was pushed the columns {', '.join(table.column_names)}, but its source "
            f"has {', '.join(source.schema.names)}.",
            remedy="Push rows with the columns of the source, in its order.",
        )
    try:
        return table.cast(source.schema.remove_metadata())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BoundaryError(
            f"{asked_by} was pushed rows that its source cannot hold: {error}.",
            remedy="Give each column the type that it has in the source.",
        ) from error


def _by_day(table: pa.Table, time: str) -> list[tuple[str, pa.Table]]:
    """Return the rows of each day (UTC) that they are about, in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days = table.column(time).cast(pa.timestamp("s"), safe=False).cast(pa.date32(), safe=False)
    found = []
    for day in pc.unique(days):
        if day.is_valid:
            found.append((str(day), table.filter(pc.equal(days, day))))
        else:
            found.append(("no-time", table.filter(pc.is_null(days))))
    return found


def _add_file(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(n) for f in folder.glob("*.parquet") if (n := f.name.split("-")[0]).isdigit()]
    _write(table, folder / f"{max(numbers, default=0) + 1:09d}-{uuid.uuid4().hex}.parquet")


def _write(table: pa.Table, file: Path) -> None:
    """Write a file that is there whole or not at all."""
    import pyarrow.parquet as pq

    half = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        pq.write_table(table, half, compression="zstd")
        os.replace(half, file)
    finally:
        half.unlink(missing_ok=True)


def write_parts(table: pa.Table, folder: Path) -> list[Path]:
    """Write a table into a new folder, at least one file, and return the files."""
    folder.mkdir(parents=True)
    files = []
    for number, start in enumerate(range(0, max(table.num_rows, 1), _ROWS_A_FILE)):
        file = folder / f"{number:05d}.parquet"
        _write(table.slice(start, _ROWS_A_FILE), file)
        files.append(file)
    return files


def save_dataset(
    config: RepoConfig,
    result: Callable[[], pa.Table],
    storage: SavedDatasetStorage,
    *,
    allow_overwrite: bool,
) -> None:
    """Write a result to the place of a saved data set; see `AsofRetrievalJob.persist`."""
    from feast.data_format import ParquetFormat
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    if not isinstance(storage, SavedDatasetFileStorage) or not isinstance(
        storage.file_options.file_format, ParquetFormat | None
    ):
        raise DefinitionError(
            f"A saved data set cannot be written as {_described(storage)}.",
            remedy="Use SavedDatasetFileStorage(path=...), which is Parquet.",
        )
    path = local_path(config, storage.file_options.uri, asked_by="The saved data set")
    is_taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if is_taken and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=storage.file_options.uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet" and not path.is_dir():
        _write(result(), path)
        return
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_parts(result(), made)
        _swap(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _swap(made: Path, path: Path) -> None:
    """Put a folder in the place of what is there, which is removed last."""
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    if path.exists():
        path.rename(old)
    made.rename(path)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def _described(storage: object) -> str:
    options = getattr(storage, "file_options", None)
    kind = type(getattr(options, "file_format", None)).__name__
    return f"{type(storage).__name__} of {kind}" if options else type(storage).__name__


def append_logs(config: RepoConfig, data: pa.Table | Path, logging: LoggingConfig) -> None:
    """Add logged features to the folder of a feature service's logs.

    Args:
        config: Says where relative paths begin.
        data: The logs, or a Parquet file or folder of them.
        logging: Says where they are kept and by which columns they are divided.

    Raises:
        DefinitionError: The destination is no folder on this machine's disks.
    """
    import pyarrow.parquet as pq
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    destination = logging.destination
    if not isinstance(destination, FileLoggingDestination):
        raise DefinitionError(
            f"Logged features cannot be written to a {type(destination).__name__}.",
            remedy="Use FileLoggingDestination(path=...), a folder of Parquet files.",
        )
    folder = local_path(config, destination.path, asked_by="The log of features")
    table = pq.read_table(data) if isinstance(data, Path) else data
    for place, rows in _divided(table, destination.partition_by or ()):
        _add_file(rows, folder / place)


def _divided(table: pa.Table, by: Sequence[str]) -> list[tuple[Path, pa.Table]]:
    """Return the rows for each combination of values, with the folders named for them.

    The files keep these columns, so that every file has all columns.
    """
    import pyarrow.compute as pc

    parts = [(Path(), table)]
    for name in by:
        parts = [
            (
                place / _folder_name(value),
                rows.filter(pc.equal(rows[name], value).fill_null(not value.is_valid)),
            )
            for place, rows in parts
            for value in pc.unique(rows[name])
        ]
    return parts


def _folder_name(value: pa.Scalar) -> str:
    """Return a value as the name of a folder that is neither hidden nor another one's."""
    name = quote(str(value.as_py()), safe="").replace(".", "%2E")
    return f"%5F{name[1:]}" if name.startswith("_") else name or "%"
