"""This module copies an SQLite database as it is at one moment, while others write to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from headrace.errors import DamagedArtifactError

_BUSY_SECONDS = 60.0


def snapshot(database: Path, copy: Path) -> None:
    """Copy a database as it is after one of its transactions, write-ahead log included.

    The source is opened for reading only. Writers of a database in WAL mode are not held up.

    Raises:
        DamagedArtifactError: The database is damaged: the copy would be as well.
        sqlite3.Error: It cannot be read, or the copy not written.
    """
    with closing(reading(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        said = target.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise DamagedArtifactError(
            f"The database '{database}' is damaged: {said}.",
            remedy="restore it from an earlier backup; this one was not written.",
        )


def revision_of(database: Path) -> str | None:
    """Return the migration that a database is at, None where it says nothing of it."""
    with closing(reading(database)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if row is None else str(row[0])


def reading(database: Path) -> sqlite3.Connection:
    """Open a database that cannot be changed through the connection."""
    url = f"file:{quote(str(database.absolute()))}?mode=ro"
    return sqlite3.connect(url, uri=True, timeout=_BUSY_SECONDS)
