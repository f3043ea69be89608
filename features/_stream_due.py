"""This module says of an entity online whether what is there has changed since, unwritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from features._online_tables import store_error
from features._stream_log import stream_file
from features.online_lookup import Lookup

_WAIT = 1.0  # seconds
_ASKED = 500


class DueMoments:
    """This reads when what is online of an entity of a stream changes next.

    Ask before reading the values: whatever is written in between is newer than the answer.

    Args:
        features: The folder of the online store.
        space: The online space.
        lookup: What is looked up; of another version than is fed, all is overdue.
    """

    def __init__(self, features: Path, space: str, lookup: Lookup) -> None:
        self._path = stream_file(features, lookup.view, space)
        self._number = getattr(lookup, "number", 0)
        self._connection: sqlite3.Connection | None = None

    def overdue(self, keys: Sequence[bytes | None], at_us: int) -> set[bytes]:
        """Return the entities of which what is online no longer holds at a moment.

        Args:
            keys: The entities, as the online store names them; a null is none.
            at_us: The moment, in microseconds since 1970 UTC.

        Raises:
            StoreError: The file cannot be read.
        """
        asked = list({key for key in keys if key is not None})
        try:
            if self._connection is None:
                if not self._path.exists():
                    return set()  # no stream: nothing changes unless somebody writes it
                self._connection = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro",
                    uri=True,
                    isolation_level=None,
                    timeout=_WAIT,
                    check_same_thread=False,
                )
            execute = self._connection.execute
            fed = execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
            if fed is not None and fed[0] != str(self._number):
                return set(asked)
            found: set[bytes] = set()
            for begin in range(0, len(asked), _ASKED):
                part = asked[begin : begin + _ASKED]
                marks = ", ".join("?" * len(part))
                rows = execute(
                    f"SELECT key FROM entities WHERE due_us <= ? AND key IN ({marks})",  # noqa: S608
                    (at_us, *part),
                )
                found.update(key for (key,) in rows)
        except sqlite3.Error as error:
            raise store_error(error, self._path, waited=_WAIT) from error
        return found

    def close(self) -> None:
        """Close the file; a later question opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
