"""This module reads what a Feast file source points to: a Parquet file, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features._join_threads import in_threads
from headrace.errors import DefinitionError, StoreError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.parquet as pq
    from feast import FileSource
    from feast.data_source import DataSource
    from feast.repo_config import RepoConfig

    Ints = npt.NDArray[np.int64]

_BATCH = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ParquetRows:
    """These are the rows of a source: its files one after the other, in the order of names.

    Args:
        name: What the source is called in messages.
        files: The files, at least one.
        schema: The columns of the first; the others must have those that are read.
        mapping: For names that a user sees, the columns of the files where they differ.
    """

    name: str
    files: tuple[Path, ...]
    schema: pa.Schema
    mapping: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> str:
        """Return the column of the files that a name stands for.

        Raises:
            UnknownNameError: There is none.
        """
        mapped = self.mapping.get(name)
        if mapped in self.schema.names:
            return str(mapped)
        if name not in self.schema.names:
            raise UnknownNameError.of(
                f"column of source '{self.name}'",
                name,
                self.schema.names,
                remedy="Name a column that the Parquet files have, or map it with `field_mapping`.",
            )
        return name

    def batches(
        self, columns: Sequence[str], *, skip: Any = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield rows with the position of the first of them.

        Args:
            columns: Columns of the files.
            skip: Says of the metadata of a row group that none of its rows is needed.
        """
        position = 0
        for file in self.files:
            with _opened(file) as parquet:
                for group in range(parquet.metadata.num_row_groups):
                    described = parquet.metadata.row_group(group)
                    if skip is None or not skip(described):
                        start = position
                        for batch in parquet.iter_batches(
                            _BATCH, row_groups=[group], columns=list(columns)
                        ):
                            yield start, batch
                            start += batch.num_rows
                    position += described.num_rows

    def take(self, columns: Sequence[str], positions: Ints) -> pa.Table:
        """Return the rows at `positions`, `(n,)`, all nulls where a position is negative."""
        import numpy as np
        import pyarrow as pa

        needed, place = np.unique(positions, return_inverse=True)
        absent = int(np.searchsorted(needed, 0))
        needed = needed[absent:]
        schema = pa.schema([self.schema.field(name) for name in columns]).remove_metadata()

        def piece(group: _Group) -> pa.Table:
            with _opened(group.file) as parquet:
                rows = parquet.read_row_group(group.number, columns=list(columns))
            taken = rows.select(list(columns)).take(group.rows)
            return taken.replace_schema_metadata(None).cast(schema)

        pieces = [*in_threads(piece, self._groups(needed))]
        rows = pa.concat_tables(pieces) if pieces else schema.empty_table()
        return rows.take(pa.array(place - absent, mask=place < absent))

    def _groups(self, needed: Ints) -> Iterator[_Group]:
        """Yield the row groups in which rows at sorted positions lie."""
        import numpy as np

        position = 0
        for file in self.files:
            with _opened(file) as parquet:
                for number in range(parquet.metadata.num_row_groups):
                    end = position + parquet.metadata.row_group(number).num_rows
                    low, high = np.searchsorted(needed, (position, end))
                    if low < high:
                        yield _Group(file, number, needed[low:high] - position)
                    position = end


@dataclass(frozen=True)
class _Group:
    """This is a row group of a file, and the rows in it that are needed."""

    file: Path
    number: int
    rows: Ints


def parquet_rows(config: RepoConfig, source: DataSource | None, *, asked_by: str) -> ParquetRows:
    """Return what a source points to.

    Args:
        config: Says where relative paths begin.
        source: A Feast `FileSource` of Parquet on this machine's disks.
        asked_by: What needs it, for messages, such as "Feature view 'x'".

    Raises:
        DefinitionError: It is another sort of source.
        StoreError: There are no rows, or the files cannot be read.
    """
    checked = file_source(source, asked_by=asked_by)
    path = local_path(config, checked.path, asked_by=asked_by)
    files = parquet_files(path)
    if not files:
        raise StoreError(
            f"{asked_by} reads Parquet files from {path}, where there are none.",
            remedy="Write its rows there first, or correct the path of its source.",
        )
    with _opened(files[0]) as parquet:
        schema = parquet.schema_arrow
    mapping = {new: old for old, new in (checked.field_mapping or {}).items()}
    return ParquetRows(name=checked.name, files=files, schema=schema, mapping=mapping)


def file_source(source: DataSource | None, *, asked_by: str) -> FileSource:
    """Return a source as what this store reads: Parquet files; see `parquet_rows`."""
    from feast import FileSource
    from feast.data_format import ParquetFormat

    if not isinstance(source, FileSource):
        what = "no batch source" if source is None else f"a {type(source).__name__}"
        raise DefinitionError(
            f"{asked_by} has {what}, which the ASOF offline store does not read.",
            remedy="Give it a FileSource of Parquet files.",
        )
    if not isinstance(source.file_format, ParquetFormat | None):
        raise DefinitionError(
            f"{asked_by} has a FileSource of {type(source.file_format).__name__}, "
            "which the ASOF offline store does not read.",
            remedy="Write the rows as Parquet and use `ParquetFormat()`.",
        )
    return source


def local_path(config: RepoConfig, path: str, *, asked_by: str) -> Path:
    """Return a path on this machine's disks, relative ones from the repository's folder.

    Raises:
        DefinitionError: It is an address somewhere else.
    """
    if "://" in path:
        raise DefinitionError(
            f"{asked_by} lies at {path}, and the ASOF offline store reads and writes local files.",
            remedy="Use a path, such as a folder where that storage is mounted.",
        )
    return Path(config.repo_path or ".") / path


def parquet_files(path: Path) -> tuple[Path, ...]:
    """Return a file, or the Parquet files in a folder and its folders, sorted by name."""
    if not path.is_dir():
        return (path,) if path.is_file() else ()
    found = (f for f in path.rglob("*.parquet") if f.is_file())
    seen = (f for f in found if not any(_is_hidden(part) for part in f.relative_to(path).parts))
    return tuple(sorted(seen, key=lambda f: f.relative_to(path).parts))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _opened(file: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(
            f"{file} cannot be read as Parquet: {error}.",
            remedy="Write the file anew, or remove it.",
        ) from error
