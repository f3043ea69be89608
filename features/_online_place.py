"""This module opens the online store where the settings say that it lies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from features._online_found import Found, FoundMany
from features._online_view import Keys, ManyKeys
from features.online_lookup import Lookup


class Reader(Protocol):
    """This reads lookups from one space of an online store."""

    def read(self, lookup_index: int, keys: Keys, at_us: int) -> Found:
        """Return an entity's features as they may be used at a moment."""
        ...

    def read_many(self, lookup_index: int, keys: ManyKeys, at_us: int) -> FoundMany:
        """Return the features of many entities, likewise."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def online_address(space: str) -> str | None:
    """Return where a space lies; None for SQLite, where those of replays lie whatever is set.

    Args:
        space: The space.
    """
    from features._online_tables import LIVE
    from headrace.settings import settings

    return settings().features_online_url if space == LIVE else None


def only_feast_has(space: str) -> bool:
    """Return whether a space lies in a store that Feast alone writes and reads: PostgreSQL.

    Args:
        space: The space.
    """
    url = online_address(space)
    return url is not None and not url.startswith("redis")


def open_reader(
    space: str,
    lookups: Sequence[Lookup],
    *,
    file: Path | None = None,
    patience: float | None = None,
    rest: float = 0.0,
) -> Reader | None:
    """Return who reads the store of the settings; None where only Feast can.

    Args:
        space: The space.
        lookups: What will be looked up; reads name them by position.
        file: The file of the store where it is SQLite; None for the one of the settings.
        patience: How many seconds a server may take to answer; None for several.
        rest: For how many seconds it is not asked again after it took longer.
    """
    url = online_address(space)
    if url is None or not lookups:
        from features.online import online_file
        from features.stream_reader import StreamReader

        return StreamReader(file or online_file(), space, lookups)
    if only_feast_has(space):
        return None
    from features._redis_connection import PATIENCE
    from features.redis_reader import RedisReader

    seconds = PATIENCE if patience is None else patience
    return RedisReader(url, space, lookups, patience=seconds, rest=rest)


def versions_online(view: str, space: str) -> list[int]:
    """Return the numbers of the versions of a view that are online, whole, as far as we know.

    Args:
        view: Name of the view.
        space: The space.
    """
    url = online_address(space)
    if url is None:
        return _in_sqlite(view, space)
    return [] if only_feast_has(space) else _in_redis(url, view, space)


def _in_sqlite(view: str, space: str) -> list[int]:
    from features._online_catalogue import owned
    from features._online_tables import store_error
    from features.online import online_file

    file = online_file()
    if not file.exists():
        return []
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            states = owned(connection.execute, space)
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return []
        raise store_error(error, file, waited=5.0) from error
    return [state.number for state in states if state.view == view and state.whole]


def _in_redis(url: str, view: str, space: str) -> list[int]:
    from features._redis_connection import RawConnection, packed
    from features._redis_layout import CATALOGUE

    connection = RawConnection(url)
    try:
        [states] = connection.ask(packed(b"HVALS", CATALOGUE), 1)
    finally:
        connection.close()
    said: list[dict[str, Any]] = [json.loads(state) for state in states]
    return [s["number"] for s in said if (s["space"], s["view"]) == (space, view) and s["whole"]]
