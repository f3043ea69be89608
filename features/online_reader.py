"""This module reads features online, where a decision is made: from SQLite, without Feast."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from features._online_tables import OWNER, store_error
from features._online_view import UNKNOWN, Found, ReadyLookup
from features.online_lookup import Lookup

__all__ = ["Found", "OnlineReader"]
_WAIT = 1.0  # seconds; writers do not lock readers out, only the recovery after a crash does


class OnlineReader:
    """This reads lookups from one space of the online store; one read is one snapshot.

    A file or table that does not exist yet means that the entity is unknown; it is looked for again
    at the next read.

    Args:
        path: The file of the store.
        space: The space, such as "headrace" for live decisions.
        lookups: What will be looked up; reads name them by position.
    """

    def __init__(self, path: Path, space: str, lookups: Sequence[Lookup]) -> None:
        self._path = path
        self._space = space
        self._lookups = [ReadyLookup(space, lookup) for lookup in lookups]
        self._connection: sqlite3.Connection | None = None

    def read(self, lookup_index: int, keys: Mapping[str, Any], at_us: int) -> Found:
        """Return an entity's features as they may be used at a moment.

        Args:
            lookup_index: Position of the lookup.
            keys: The entity: a value for each key column of the view. A null is no entity.
            at_us: The moment of the decision, in microseconds since 1970 UTC.

        Raises:
            DataError: A key is missing or of another type.
            LeakageError: The store holds what happened after `at_us`, or, in the space of a replay,
                what was not known by then. Live, a row may arrive between a decision and its read.
            DamagedArtifactError: The file is no longer what was written.
            StoreError: The file cannot be read, or a value is not of the type that is looked up.
        """
        ready = self._lookups[lookup_index]
        key = ready.key_of(keys)
        if key is None or not (ready.is_there or self._find(ready)):
            return UNKNOWN
        try:
            rows = self._connection.execute(ready.select, (key,)).fetchall()  # type: ignore[union-attr]
        except sqlite3.Error as error:
            if "no such table" not in str(error):
                raise store_error(error, self._path, waited=_WAIT) from error
            ready.is_there = False
            return UNKNOWN
        return ready.found(rows, keys, at_us) if rows else UNKNOWN

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

    def _find(self, ready: ReadyLookup) -> bool:
        """Open the file if it exists by now, and see whether the view is in it."""
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
            owner = self._connection.execute(OWNER, (ready.table,)).fetchone()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return False
            raise store_error(error, self._path, waited=_WAIT) from error
        # two pairs of space and view can have one table name, which then is only one's
        ready.is_there = owner == (self._space, ready.lookup.view)
        return ready.is_there
