"""This module opens the online store where the settings say that it lies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
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


def open_reader(space: str, lookups: Sequence[Lookup]) -> Reader | None:
    """Return who reads the store of the settings; None where only Feast can.

    Args:
        space: The space; those of replays lie in SQLite whatever is set.
        lookups: What will be looked up; reads name them by position.
    """
    from features._online_tables import LIVE
    from headrace.settings import settings

    url = settings().features_online_url
    if url is None or space != LIVE:
        from features.online import online_file
        from features.stream_reader import StreamReader

        return StreamReader(online_file(), space, lookups)
    if url.startswith("redis"):
        from features.redis_reader import RedisReader

        return RedisReader(url, space, lookups)
    return None


def versions_online(view: str, space: str) -> list[int]:
    """Return the numbers of the versions of a view that are online, whole, as far as we know.

    Args:
        view: Name of the view.
        space: The space.
    """
    from features._online_tables import LIVE
    from headrace.settings import settings

    url = settings().features_online_url
    if url is None or space != LIVE:
        return _in_sqlite(view, space)
    if url.startswith("redis"):
        return _in_redis(url, view, space)
    return []


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
