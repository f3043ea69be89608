"""This module writes the records of a segment as Parquet files, each whole or not there."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.decisions.fields import FIELDS, schema_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.inventory import Tally
from headrace.decisions.reading import read_frames
from headrace.decisions.tables import tables_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_ROW_GROUP = 50_000


def write_parquet(folder: LogFolder, name: str, tally: Tally) -> None:
    """Write the tables of a sealed segment, last the decisions: then it counts as compacted.

    Raises:
        OSError: One cannot be written.
        DamagedArtifactError: A record is damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    drafts = {table: folder.parquet(table, f".{name}") for table in FIELDS}
    path = folder.log(name)
    fd = os.open(path, os.O_RDONLY)
    try:
        with ExitStack() as stack:
            writers: dict[str, parquet.ParquetWriter] = {}
            for table, draft in drafts.items():
                draft.parent.mkdir(parents=True, exist_ok=True)
                writers[table] = stack.enter_context(
                    parquet.ParquetWriter(draft, schema_of(table), compression="zstd")
                )
            frames = read_frames(fd, path, 0, tally.size, sealed=True)
            waiting: dict[str, list[pa.Table]] = {table: [] for table in FIELDS}
            for table, rows in tables_of(frames, name):
                waiting[table].append(rows)
                if sum(len(each) for each in waiting[table]) >= _ROW_GROUP:
                    writers[table].write_table(pa.concat_tables(waiting[table]))
                    waiting[table].clear()
            for table, rest in waiting.items():
                if rest:
                    writers[table].write_table(pa.concat_tables(rest))
        if tally.shadows:
            _publish(drafts["shadows"], folder.parquet("shadows", name))
        if tally.outcomes:
            _publish(drafts["outcomes"], folder.parquet("outcomes", name))
        _publish(drafts["decisions"], folder.parquet("decisions", name))
    finally:
        os.close(fd)
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    """Put a file in its place, on the disk: its segment may be removed next."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
