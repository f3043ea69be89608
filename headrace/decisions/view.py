"""This module shows a log to DuckDB: what was compacted and what was not, as one."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.decisions.fields import FIELDS, schema_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.reading import read_frames
from headrace.decisions.sealing import check_size
from headrace.decisions.tables import tables_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ONE_PER = {"decisions": "id", "shadows": "id, model", "outcomes": "id"}


def open_view(
    folder: Path, connection: duckdb.DuckDBPyConnection | None = None
) -> duckdb.DuckDBPyConnection:
    """Make the views `decisions`, `shadows` and `outcomes` of a log, as it is at this moment.

    Of several records of a decision, a model's shadow of a decision, or an outcome, the views show
    the one that was logged first. `segment` and `place` say where a row lies in the log.

    `decisions` has `features` (MAP of name to DOUBLE), `texts` (MAP of name to VARCHAR) and
    `entity`, asked for as in `features['distance']`; the document's `at` is `decided_at`, and
    `answer` is JSON text, asked for as in `answer->>'probability'`.

    Args:
        folder: The folder of the endpoint; where there is no log, the views are empty.
        connection: Where to make them; a new database in memory by default. They are temporary:
            of this connection, and in no file.

    Raises:
        DamagedArtifactError: A record that was not compacted is damaged.
    """
    import duckdb

    database = duckdb.connect() if connection is None else connection
    compacted, fresh = _snapshot(LogFolder(Path(folder)))
    for table in FIELDS:
        files = [path for path in compacted[table] if path.exists()]
        database.register(f"headrace_fresh_{table}", fresh[table])
        database.execute(_view(table, files))
    return database


def _view(table: str, files: list[Path]) -> str:
    rows = f"FROM headrace_fresh_{table}"
    if files:
        listed = ", ".join(_quoted(path) for path in files)
        rows = f"FROM read_parquet([{listed}]) UNION ALL {rows}"
    return (
        f"CREATE OR REPLACE TEMP VIEW {table} AS FROM ({rows}) QUALIFY row_number() OVER "
        f"(PARTITION BY {_ONE_PER[table]} ORDER BY logged, segment, place) = 1"
    )


def _quoted(path: Path) -> str:
    text = str(path.resolve())
    for sign in "[*?":  # signs of a pattern, which a name may hold
        text = text.replace(sign, f"[{sign}]")
    return "'" + text.replace("'", "''") + "'"


def _snapshot(folder: LogFolder) -> tuple[dict[str, list[Path]], dict[str, pa.Table]]:
    """Return the Parquet files and the rows that are in no such file, each record once.

    Segments are listed before Parquet files: what a compaction removes between the two is then in
    the second list, and what it adds later is in neither.
    """
    with ExitStack() as stack:
        opened: dict[str, tuple[int, int, bool]] = {}
        for name in folder.names():
            try:
                fd = os.open(folder.log(name), os.O_RDONLY)
            except FileNotFoundError:  # compacted and removed since the listing
                continue
            stack.callback(os.close, fd)
            sealed = folder.sealed_size(name)
            size = os.fstat(fd).st_size
            if sealed is not None:
                check_size(folder.log(name), sealed, size)
            opened[name] = fd, size, sealed is not None
        names = sorted(path.stem for path in folder.path.glob("parquet/decisions/[!.]*.parquet"))
        fresh = _rows(folder, {k: v for k, v in opened.items() if k not in set(names)})
    return {table: [folder.parquet(table, name) for name in names] for table in FIELDS}, fresh


def _rows(folder: LogFolder, opened: dict[str, tuple[int, int, bool]]) -> dict[str, pa.Table]:
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {table: [schema_of(table).empty_table()] for table in FIELDS}
    for name, (fd, size, sealed) in opened.items():
        frames = read_frames(fd, folder.log(name), 0, size, sealed=sealed)
        for table, rows in tables_of(frames, name):
            parts[table].append(rows)
    return {table: pa.concat_tables(tables) for table, tables in parts.items()}
