"""This module keeps the rows that were pushed to a view: appended, never rewritten.

Each view has a file of its own, `features/<view>/stream.db`. A push adds its rows in one
transaction, which waits for the disk; nothing that is there is written again. Beside the rows lies
when what is online of each entity changes next, and whether something is still to be brought there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from features._online_tables import LIVE, store_error
from features._stream_rows import Given, plain_columns, source_times
from features.view import FeatureView
from headrace.errors import DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa

_WAIT = 30.0  # seconds
_TABLES = """
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batches
        (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, received_us INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS rows
        (number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, key BLOB NOT NULL, identity BLOB,
         event_us INTEGER NOT NULL, known_us INTEGER NOT NULL, received_us INTEGER NOT NULL,
         outdated INTEGER NOT NULL, digest BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS rows_of_entity ON rows (key, event_us);
    CREATE INDEX IF NOT EXISTS rows_of_identity ON rows (identity) WHERE identity IS NOT NULL;
    CREATE TABLE IF NOT EXISTS entities
        (key BLOB PRIMARY KEY, due_us INTEGER, pending INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS entities_due ON entities (due_us) WHERE due_us IS NOT NULL;
    CREATE INDEX IF NOT EXISTS entities_pending ON entities (key) WHERE pending = 1;
"""
_LISTED = 50_000  # rows made into a table at a time


def stream_file(features: Path, view: str, space: str) -> Path:
    """Return the file of what was pushed to a view; a replay has one of its own."""
    return features / view / ("stream.db" if space == LIVE else f"stream.{space}.db")


class StreamLog:
    """This is the log of a view, open in one process; see the module.

    Args:
        path: The file; it is made when it does not exist.
        view: The view.

    Raises:
        StoreError: It cannot be opened.
        DefinitionError: The source has a column whose type is not the one of before.
    """

    def __init__(self, path: Path, view: FeatureView) -> None:
        self._path, self._view = path, view
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=_WAIT)
            self._execute = self._connection.execute
            try:
                self._execute("PRAGMA journal_mode = WAL")
                self._execute("PRAGMA synchronous = NORMAL")
                if self._maybe("SELECT count(*) FROM sqlite_master WHERE name = 'entities'") == 0:
                    self._connection.executescript(_TABLES)
                self._execute("CREATE TEMP TABLE asked (key BLOB PRIMARY KEY) WITHOUT ROWID")
                self._have_columns()
            except BaseException:
                self._connection.close()
                raise

    def has_batch(self, batch: str) -> bool:
        """Return whether a push of this id is in the log."""
        return self._one("SELECT count(*) FROM batches WHERE id = ?", batch) > 0

    def last_received(self) -> int | None:
        """Return when the last push came in, None before the first."""
        found: int | None = self._maybe("SELECT max(received_us) FROM batches")
        return found

    def versions(self, identities: Iterable[bytes]) -> dict[bytes, list[tuple[int, bytes, bytes]]]:
        """Return of each identity that is in the log: known time, digest and entity of its rows."""
        found: dict[bytes, list[tuple[int, bytes, bytes]]] = {}
        with self._asking(identities):
            for identity, *version in self._execute(
                "SELECT identity, known_us, digest, rows.key FROM asked "
                "JOIN rows ON identity = asked.key"
            ):
                found.setdefault(identity, []).append(tuple(version))
        return found

    def earliest_due(self, keys: Iterable[bytes]) -> int | None:
        """Return when the first change of some entities is or was due, None when none is."""
        with self._asking(keys):
            text = "SELECT min(due_us) FROM asked JOIN entities USING (key)"
            found: int | None = self._maybe(text)
        return found

    def history(
        self, keys: Iterable[bytes], *, after_us: int | None, but_now: tuple[int, set[bytes]]
    ) -> pa.Table:
        """Return the rows of entities as they came in, with all versions of those rows.

        Args:
            keys: The entities.
            after_us: Only rows of later events; None for all.
            but_now: A moment, and identities of which rows that came in at that moment are left
                out, since they are superseded before anybody could have used them.
        """
        moment, superseded = but_now
        with self._asking(keys):
            since = -(1 << 63) if after_us is None else after_us
            cursor = self._execute(
                f"SELECT identity, received_us, {self._columns} FROM rows WHERE outdated = 0 "  # noqa: S608
                "AND number IN (SELECT number FROM asked JOIN rows USING (key) WHERE event_us > ?1 "
                "UNION SELECT other.number FROM asked JOIN rows AS one USING (key) "
                "JOIN rows AS other ON other.identity = one.identity WHERE one.event_us > ?1) "
                "ORDER BY number",
                (since,),
            )
            kept = (row[1:] for row in cursor if not (row[1] == moment and row[0] in superseded))
            return self._table(kept)

    def all_rows(self, *, as_received: bool) -> pa.Table:
        """Return the rows: as they came in, or, those of no use too, as they say themselves."""
        if as_received:
            text = (
                f"SELECT received_us, {self._columns} FROM rows WHERE outdated = 0 ORDER BY number"  # noqa: S608
            )
        else:
            text = f"SELECT known_us, {self._columns} FROM rows ORDER BY number"  # noqa: S608
        with self._translated():
            return self._table(self._execute(text))

    def append(
        self,
        rows: Sequence[tuple[Given, bool]],
        table: pa.Table,
        *,
        batch: str,
        received_us: int,
        due: dict[bytes, int | None],
    ) -> None:
        """Add a push: from then on it is kept, and its entities wait to be brought online.

        Args:
            rows: Its rows, each with whether a later word was known already.
            table: What the rows say; they name positions in it.
            batch: Id of the push.
            received_us: When it came in.
            due: When what will be online of each entity changes next.
        """
        values = list(zip(*plain_columns(table), strict=True))
        marks = ", ".join("?" * (8 + table.num_columns))
        with self._durably(), self._transaction():
            number = self._execute(
                "INSERT INTO batches (id, received_us) VALUES (?, ?)", (batch, received_us)
            ).lastrowid
            self._connection.executemany(
                "UPDATE rows SET outdated = 1 WHERE identity = ? AND received_us = ?",
                [(g.identity, received_us) for g, old in rows if g.identity and not old],
            )
            self._connection.executemany(
                "INSERT INTO rows (batch, key, identity, event_us, known_us, received_us, "  # noqa: S608
                f"outdated, digest, {self._columns}) VALUES ({marks})",
                [
                    (number, g.key, g.identity, g.event_us, g.known_us, received_us, old, g.digest)
                    + values[g.position]
                    for g, old in rows
                ],
            )
            self._connection.executemany(
                "INSERT INTO entities (key, due_us, pending) VALUES (?1, ?2, 1) "
                "ON CONFLICT (key) DO UPDATE SET pending = 1, due_us = "
                "min(coalesce(due_us, ?2), coalesce(?2, due_us))",
                list(due.items()),
            )

    def settle(self, due: dict[bytes, int | None]) -> None:
        """Say that entities are online as they are known, and when that changes next."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE entities SET pending = 0, due_us = ?2 WHERE key = ?1", list(due.items())
            )

    def waiting(self, *, due_us: int | None, limit: int) -> list[bytes]:
        """Return entities to bring online: those pending, and those due by a moment.

        Args:
            due_us: The moment; None for those pending alone.
            limit: How many at most.
        """
        with self._translated():
            found = self._execute(
                "SELECT key FROM entities WHERE pending = 1 LIMIT ?", (limit,)
            ).fetchall()
            if not found and due_us is not None:
                found = self._execute(
                    "SELECT key FROM entities WHERE due_us <= ? ORDER BY due_us LIMIT ?",
                    (due_us, limit),
                ).fetchall()
        return [key for (key,) in found]

    def require_online(self, version: int, *, again: bool = False) -> None:
        """Let all entities wait to be brought online, if they are so in another version.

        Args:
            version: Number of the view's version that is to be online.
            again: Whether they are to wait in any case.
        """
        known = self._maybe("SELECT value FROM meta WHERE name = 'version'")
        if known == str(version) and not again:
            return
        with self._transaction():
            self._execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (str(version),))
            self._execute("UPDATE entities SET pending = 1")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> StreamLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _columns(self) -> str:
        return ", ".join(_quoted(name) for name in self._view.source_schema.names)

    def _have_columns(self) -> None:
        """Add the columns that the source has now; what a column is may not change."""
        known = json.loads(self._maybe("SELECT value FROM meta WHERE name = 'columns'") or "{}")
        columns = self._view.source_schema.columns
        for column in columns:
            before = known.get(column.name, column.dtype)
            if before != column.dtype:
                raise DefinitionError(
                    f"The source of stream view '{self._view.name}' has '{column.name}' as "
                    f"{column.dtype}, but rows were pushed with it as {before}.",
                    remedy="Give the column another name, or the view.",
                )
        new = {c.name: c.dtype for c in columns if c.name not in known}
        if not new:
            return
        with self._transaction():
            there = {row[1] for row in self._execute("PRAGMA table_info(rows)")}
            for name in new:
                if f"v_{name}" not in there:  # another process may have been faster
                    self._execute(f"ALTER TABLE rows ADD COLUMN {_quoted(name)}")
            text = json.dumps(known | new)
            self._execute("INSERT OR REPLACE INTO meta VALUES ('columns', ?)", (text,))

    def _table(self, rows: Iterable[tuple[Any, ...]]) -> pa.Table:
        """Return rows of known time and values in the columns of the source."""
        import pyarrow as pa

        from headrace.conform import arrow_type

        _, known = source_times(self._view)
        columns = self._view.source_schema.columns
        schema = pa.schema([pa.field(c.name, arrow_type(c)) for c in columns])
        at = [c.name for c in columns].index(known)
        parts = []
        for block in _blocks(rows):
            known_us, *values = zip(*block, strict=True)
            values[at] = known_us
            arrays = [_array(v, f.type) for v, f in zip(values, schema, strict=True)]
            parts.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return pa.Table.from_batches(parts, schema=schema).unify_dictionaries()

    @contextmanager
    def _asking(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Put keys where a statement can join them."""
        with self._translated():
            self._connection.executemany(
                "INSERT OR IGNORE INTO asked VALUES (?)", [(key,) for key in keys]
            )
            try:
                yield
            finally:
                self._execute("DELETE FROM asked")

    @contextmanager
    def _durably(self) -> Iterator[None]:
        """Wait for the disk; what else is written can be worked out again from the rows."""
        self._execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self._path, waited=_WAIT) from error

    def _maybe(self, text: str) -> Any:
        with self._translated():
            found = self._execute(text).fetchone()
        return None if found is None else found[0]

    def _one(self, text: str, *values: Any) -> int:
        with self._translated():
            return int(self._execute(text, values).fetchone()[0])


def _blocks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    from itertools import islice

    each = iter(rows)
    while block := list(islice(each, _LISTED)):
        yield block


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return pa.array([None if v is None else bool(v) for v in values], kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if pa.types.is_date(kind):
        return pa.array(values, pa.int32()).cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _quoted(name: str) -> str:
    return '"v_' + name.replace('"', '""') + '"'
