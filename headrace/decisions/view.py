"""This module shows a log to DuckDB: what was compacted and what was not, as one."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.decisions.fields import FIELDS, schema_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.leases import take_lease
from headrace.decisions.manifest import manifest_of
from headrace.decisions.reading import read_frames
from headrace.decisions.sealing import check_size
from headrace.decisions.tables import tables_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ONE_PER = {
    "decisions": "id",
    "shadows": "id, model",
    "outcome_history": "segment, place, id, name",
}
# The latest correction holds; without one what was told first.
_OUTCOMES = """
CREATE OR REPLACE TEMP VIEW outcomes AS
SELECT *, count(*) FILTER (WHERE corrects) OVER (PARTITION BY id, name) AS corrected
FROM outcome_history
QUALIFY row_number() OVER (
    PARTITION BY id, name
    ORDER BY corrects DESC, CASE WHEN corrects THEN -epoch_us(logged) ELSE epoch_us(logged) END,
        CASE WHEN corrects THEN 0 ELSE 1 END, segment, place
) = 1
"""


def open_view(
    folder: Path, connection: duckdb.DuckDBPyConnection | None = None
) -> duckdb.DuckDBPyConnection:
    """Make the views of a log, as it is at this moment: `decisions`, `shadows`, `outcomes`, ….

    Of several records of a decision, or of a model's shadow of a decision, the views show the one
    that was logged first. `outcomes` has a row for each outcome of a decision, by its `name` (empty
    where there is only one): the value that holds now, which is that of the latest correction, and
    how often it was `corrected`. `outcome_history` has everything that was told, in a row each; ask
    it for what was known at a moment. `segment` and `place` say where a row lies in the log.

    `decisions` has `features` (MAP of name to DOUBLE), `texts` (MAP of name to VARCHAR) and
    `entity`, asked for as in `features['distance']`; the document's `at` is `decided_at`, and
    `answer` is JSON text, asked for as in `answer->>'probability'`.

    The files that the views read are kept for as long as the connection lives.

    Args:
        folder: The folder of the endpoint; where there is no log, the views are empty.
        connection: Where to make them; a new database in memory by default. They are temporary:
            of this connection, and in no file.

    Raises:
        DamagedArtifactError: A record that was not compacted is damaged.
    """
    import duckdb

    database = duckdb.connect() if connection is None else connection
    compacted, fresh, lease = _snapshot(LogFolder(Path(folder)))
    if lease is not None:
        weakref.finalize(database, os.close, lease)
    for table in FIELDS:
        database.register(f"headrace_fresh_{table}", fresh[table])
        database.execute(_view(table, compacted[table]))
    database.execute(_OUTCOMES)
    return database


def _view(table: str, files: list[Path]) -> str:
    rows = f"FROM headrace_fresh_{table}"
    if files:
        listed = ", ".join(_quoted(path) for path in files)
        # files that are older than a column lack it
        rows += f" UNION ALL BY NAME FROM read_parquet([{listed}], union_by_name=true)"
    if table == "outcomes":
        table = "outcome_history"
        rows = (
            f"FROM ({rows}) SELECT * REPLACE (coalesce(name, '') AS name, "
            "coalesce(corrects, false) AS corrects, coalesce(late, false) AS late)"
        )
    return (
        f"CREATE OR REPLACE TEMP VIEW {table} AS FROM ({rows}) QUALIFY row_number() OVER "
        f"(PARTITION BY {_ONE_PER[table]} ORDER BY logged, segment, place) = 1"
    )


def _quoted(path: Path) -> str:
    text = str(path.resolve())
    for sign in "[*?":  # signs of a pattern, which a name may hold
        text = text.replace(sign, f"[{sign}]")
    return "'" + text.replace("'", "''") + "'"


def _snapshot(
    folder: LogFolder,
) -> tuple[dict[str, list[Path]], dict[str, pa.Table], int | None]:
    """Return the Parquet files, the rows that are in none, each record once, and what keeps both.

    Segments are listed before the manifest is read, which must be the same afterwards: what is
    compacted meanwhile would be in both or in none.
    """
    while True:
        with ExitStack() as stack:
            opened = _opened(folder, stack)
            manifest = manifest_of(folder)
            lease = take_lease(folder, manifest.version) if manifest.files else None
            there = [name for name, (fd, _, _) in opened.items() if os.fstat(fd).st_nlink]
            if manifest_of(folder).version != manifest.version:
                if lease is not None:
                    os.close(lease)
                continue
            try:
                fresh = _rows(folder, {n: opened[n] for n in there if n not in manifest.compacted})
            except BaseException:
                if lease is not None:
                    os.close(lease)
                raise
            files = {
                table: [folder.parquet(table, file.name) for file in manifest.of(table)]
                for table in FIELDS
            }
            return files, fresh, lease


def _opened(folder: LogFolder, stack: ExitStack) -> dict[str, tuple[int, int, bool]]:
    """Return the segments, open until the stack ends: file, how long, whether sealed."""
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
    return opened


def _rows(folder: LogFolder, opened: dict[str, tuple[int, int, bool]]) -> dict[str, pa.Table]:
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {table: [schema_of(table).empty_table()] for table in FIELDS}
    for name, (fd, size, sealed) in opened.items():
        frames = read_frames(fd, folder.log(name), 0, size, sealed=sealed)
        for table, rows in tables_of(frames, name):
            parts[table].append(rows)
    return {table: pa.concat_tables(tables) for table, tables in parts.items()}
