"""This module reads features online, where a decision is made: from SQLite, without Feast."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from features._online_found import NOT_MATERIALIZED, UNKNOWN, Found, FoundMany, Status
from features._online_select import CHUNK, SqliteLookup
from features._online_tables import IS_THERE, state_of, store_error
from features._online_view import Keys, ManyKeys, unique
from features.online_lookup import Lookup

__all__ = ["Found", "FoundMany", "OnlineReader", "Status"]
_WAIT = 1.0  # seconds; writers do not lock readers out, only the recovery after a crash does
T = TypeVar("T")


class OnlineReader:
    """This reads lookups from one space of the online store; one read is one snapshot.

    A file or table that does not exist yet, or is not whole yet, means that the view is not
    materialized; it is looked for again at the next read. What Feast's own SQLite store wrote is
    read too, by the times that Feast keeps, in whole seconds.

    Args:
        path: The file of the store.
        space: The space, such as "headrace" for live decisions.
        lookups: What will be looked up; reads name them by position.
    """

    def __init__(self, path: Path, space: str, lookups: Sequence[Lookup]) -> None:
        self._path = path
        self._space = space
        self._lookups = [SqliteLookup(space, lookup) for lookup in lookups]
        self._connection: sqlite3.Connection | None = None
        self._snapshot = threading.Lock()

    def read(self, lookup_index: int, keys: Keys, at_us: int) -> Found:
        """Return an entity's features as they may be used at a moment.

        Args:
            lookup_index: Position of the lookup.
            keys: The entity: a value for each key column of the view. A null is no entity.
            at_us: The moment of the decision, in microseconds since 1970 UTC; `now_us` of
                `headrace.clock.current_clock` is the present one.

        Raises:
            DataError: A key is missing or of another type.
            LeakageError: The store holds what happened after `at_us`, or, in the space of a replay,
                what was not known by then. Live, a row may arrive between a decision and its read.
            DamagedArtifactError: The file is no longer what was written.
            StoreError: The file cannot be read, or a value is not of the type that is looked up.
        """
        ready = self._lookups[lookup_index]
        key = ready.key_of(keys)
        if key is None:
            return UNKNOWN
        if not (ready.is_there or self._find(ready)):
            return NOT_MATERIALIZED
        try:
            rows = self._connection.execute(ready.select, (key,)).fetchall()  # type: ignore[union-attr]
        except sqlite3.Error as error:
            self._forget(ready, error)
            return NOT_MATERIALIZED
        return ready.found(rows, keys, at_us) if rows else UNKNOWN

    def read_many(self, lookup_index: int, keys: ManyKeys, at_us: int) -> FoundMany:
        """Return the features of many entities as they may be used at a moment, by column.

        Args:
            lookup_index: Position of the lookup.
            keys: A mapping for each entity, or for each key column its values. The same entity may
                come more than once; a null is no entity.
            at_us: The moment, in microseconds since 1970 UTC.

        Raises:
            DataError: A key is missing or of another type, or columns differ in length.
            LeakageError: The store holds what lies after `at_us`; see `read`.
            DamagedArtifactError: The file is no longer what was written.
            StoreError: The file cannot be read, or a value is not of the type that is looked up.
        """
        ready = self._lookups[lookup_index]
        asked = ready.keys_of(keys)
        entity_keys, order = unique(asked)
        if not (ready.is_there or self._find(ready)):
            return ready.absent(len(asked))
        try:
            if len(entity_keys) <= CHUNK:  # one statement, so one snapshot
                execute = self._connection.execute  # type: ignore[union-attr]
                return ready.found_many(execute, entity_keys, order, keys, at_us)
            return self._in_one_snapshot(
                lambda execute: ready.found_many(execute, entity_keys, order, keys, at_us)
            )
        except sqlite3.Error as error:
            self._forget(ready, error)
            return ready.absent(len(asked))

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        for ready in self._lookups:
            ready.is_there = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> OnlineReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _in_one_snapshot(self, read: Callable[[Callable[..., Any]], T]) -> T:
        """Return what several statements read, of one moment of the store."""
        connection = self._connection
        assert connection is not None  # noqa: S101  `_find` opened it
        with self._snapshot:
            connection.execute("BEGIN")
            try:
                return read(connection.execute)
            finally:
                connection.execute("ROLLBACK")

    def _find(self, ready: SqliteLookup) -> bool:
        """Open the file if it exists by now, and see whether the view is in it, whole."""
        try:
            if self._connection is None:
                if not self._path.exists():
                    return False
                self._connection = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro",
                    uri=True,
                    isolation_level=None,
                    timeout=_WAIT,
                    check_same_thread=False,
                )
            execute = self._connection.execute
            state = self._state(ready)
            if state is None:  # the catalogue, if there is one, does not know it: Feast's own
                if not execute(IS_THERE, (ready.table,)).fetchone()[0]:
                    return False
                return ready.prepare(execute, feasts=True)
            # two pairs of space and view can have one table name, which then is only one's
            owner = (state.space, state.view, state.number)
            if owner != (self._space, ready.lookup.view, ready.lookup.number) or not state.whole:
                return False
            return ready.prepare(execute, feasts=False)
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return False
            raise store_error(error, self._path, waited=_WAIT) from error

    def _state(self, ready: SqliteLookup) -> Any:
        assert self._connection is not None  # noqa: S101  `_find` opened it
        try:
            return state_of(self._connection.execute, ready.table)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return None  # no writer of ours has been here

    def _forget(self, ready: SqliteLookup, error: sqlite3.Error) -> None:
        """Look for a table again at the next read if it is gone; raise what else is wrong."""
        if "no such table" not in str(error):
            raise store_error(error, self._path, waited=_WAIT) from error
        ready.is_there = False
