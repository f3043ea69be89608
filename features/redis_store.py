"""This module writes features into Redis, in Feast's layout, where a newer event is never lost.

Feast's own writer compares times before it writes, so that two writers may pass each other, and
takes a correction with the same event time for nothing new. This one compares where it writes, in
Redis, by the rule of `features/online.py`: the newest event, of equal events the one known last.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from features._online_encoded import Row, RowEncoder, newest
from features._online_keys import DUMMY, key_prefix
from features._online_rows import plain_rows
from features._online_times import instant_of
from features._redis_connection import RawConnection, packed, packed_part
from features._redis_layout import (
    CATALOGUE,
    TAKE_NEWER,
    catalogue_field,
    fact_bytes,
    fact_field,
    feature_fields,
    name_of,
    state_bytes,
    time_bytes,
    time_field,
    until_bytes,
    until_field,
)
from features._versions import number_of
from features._view_rules import require_name
from features.online import Pushed
from features.view import FeatureView
from headrace.clock import current_clock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RedisOnlineStore", "RedisTable"]
_CHUNK = 500  # rows that are sent before answers are read
_SCAN = 1000
Fact = tuple[bytes, int, int, bytes]  # entity key, event time, known time, digest of the values


class RedisOnlineStore:
    """This writes one space of an online store in Redis.

    All features of a row are taken, or none; many rows are not one transaction. A version of a view
    that is `filling` is read by nobody before it is `filled`. Rows that are pushed to a view of
    which nothing is online yet may be read when the push is done.

    Args:
        url: Where Redis is, such as `redis://127.0.0.1:6379/0`.
        space: Whose features these are: "headrace" for live decisions.

    Raises:
        DefinitionError: The space has a name that cannot be one.
    """

    def __init__(self, url: str, space: str) -> None:
        require_name("Online space", space)
        self._space = space
        self._connection = RawConnection(url)
        self._views: dict[str, tuple[FeatureView, RedisTable, RowEncoder]] = {}

    def push(self, view: FeatureView, rows: pa.Table) -> Pushed:
        """Write rows of a view; none of an older event replaces a newer one.

        Args:
            view: The view.
            rows: Its rows, in any order; `expires_at` may be missing.

        Raises:
            BoundaryError: The rows do not fit the view, or a key is null.
            LeakageError: A row is known before it happened, or not known yet.
            DataError: A value cannot be stored.
            StoreError: Redis does not answer; the same push again does what is missing.
        """
        return self.push_rows(view, plain_rows(view, rows))

    def push_rows(self, view: FeatureView, rows: Sequence[Row]) -> Pushed:
        """Write plain rows of a view; see `push` and `features.online.OnlineStore.push_rows`.

        Args:
            view: The view.
            rows: Its rows as `plain_rows` makes them.
        """
        table, encoder = self._ready(view)
        now_us = instant_of(current_clock().now())
        encoded = newest([encoder.encode(row, now_us=now_us) for row in rows])
        state = self._state(table)
        if state is None:
            self._say(table, whole=False, filling=False)
        # after both times, a row has a value and its text for each feature
        answers = self.write(
            table,
            [(r.key, r.event_us, r.known_us, r.digest) for r in encoded],
            [r.cells[2::2] for r in encoded],
        )
        if not _is_whole(state) and not (state or {}).get("filling"):
            older = self._others_whole(table)
            self._say(table, whole=not older, filling=older)
        written, same = answers.count(1), answers.count(0)
        return Pushed(rows=len(rows), written=written, older=len(rows) - written - same)

    def push_many(
        self, views_and_rows: Sequence[tuple[FeatureView, pa.Table | Sequence[Row]]]
    ) -> list[Pushed]:
        """Write rows of several views, one after the other.

        Args:
            views_and_rows: Views with their rows, as a table or plain.
        """
        return [
            self.push_rows(view, rows) if isinstance(rows, list | tuple) else self.push(view, rows)
            for view, rows in views_and_rows
        ]

    def filling(self, table: RedisTable) -> None:
        """Say that a version of a view is about to be filled; one that is whole stays so."""
        if not _is_whole(self._state(table)):
            self._say(table, whole=False, filling=True)

    def filled(self, table: RedisTable) -> None:
        """Say that a version of a view is whole and may be read."""
        self._say(table, whole=True, filling=False)

    def write(
        self,
        table: RedisTable,
        facts: Sequence[Fact],
        values: Sequence[Sequence[bytes]],
        until: Mapping[bytes, int | None] | None = None,
    ) -> list[int]:
        """Take what is newer of encoded rows, one for each entity.

        Args:
            table: The version of the view.
            facts: Whose they are and what they are.
            values: For each its features, as Feast's messages.
            until: From when on each entity's row no longer holds, in microseconds since 1970 UTC,
                None where it holds on; without it that is not known.

        Returns:
            For each row 1 if it was taken, 0 if it was there, -1 if it is older.
        """
        answers: list[int] = []
        if facts:
            [script] = self._connection.ask(packed(b"SCRIPT", b"LOAD", TAKE_NEWER), 1)
        for start in range(0, len(facts), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(facts)))
            commands = b"".join(table.command(script, facts[i], values[i], until) for i in chunk)
            answers += self._connection.ask(commands, len(chunk))
        return answers

    def clear(self) -> None:
        """Remove all rows of this space, of every view that we wrote."""
        states = [s for s in self._states() if s["space"] == self._space]
        for prefix in {bytes.fromhex(s["keys"]) for s in states}:
            for keys in self._keys_of(prefix):
                self._connection.ask(packed(b"DEL", *keys), 1)
        for s in states:
            field = catalogue_field(self._space, name_of(s["view"], s["number"]))
            self._connection.ask(packed(b"HDEL", CATALOGUE, field), 1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> RedisOnlineStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _keys_of(self, prefix: bytes) -> Iterator[list[bytes]]:
        """Find the keys of entities that begin so and are in this space, some at a time."""
        pattern = b"".join(b"\\" + bytes([c]) if c in b"*?[]\\" else bytes([c]) for c in prefix)
        cursor = b"0"
        while True:
            [(cursor, keys)] = self._connection.ask(
                packed(b"SCAN", cursor, b"MATCH", pattern + b"*", b"COUNT", b"%d" % _SCAN), 1
            )
            mine = [key for key in keys if _space_of(key, len(prefix)) == self._space.encode()]
            if mine:
                yield mine
            cursor = cursor if isinstance(cursor, bytes) else str(cursor).encode()
            if cursor == b"0":
                return

    def _ready(self, view: FeatureView) -> tuple[RedisTable, RowEncoder]:
        known = self._views.get(view.name)
        if known is None or known[0] is not view:
            table = RedisTable(
                self._space,
                view.name,
                number_of(view),
                keys=view.keys,
                features=[column.name for column in view.columns],
            )
            known = self._views[view.name] = (view, table, RowEncoder(view))
        return known[1:]

    def _state(self, table: RedisTable) -> dict[str, Any] | None:
        [state] = self._connection.ask(packed(b"HGET", CATALOGUE, table.state_field), 1)
        return None if state is None else dict(json.loads(state))

    def _states(self) -> list[dict[str, Any]]:
        [found] = self._connection.ask(packed(b"HVALS", CATALOGUE), 1)
        return [json.loads(state) for state in found]

    def _others_whole(self, table: RedisTable) -> bool:
        mine = (self._space, table.view)
        return any((s["space"], s["view"]) == mine and s["whole"] for s in self._states())

    def _say(self, table: RedisTable, *, whole: bool, filling: bool) -> None:
        state = state_bytes(
            self._space,
            table.view,
            table.number,
            whole=whole,
            filling=filling,
            prefix=table.prefix,
        )
        self._connection.ask(packed(b"HSET", CATALOGUE, table.state_field, state), 1)


class RedisTable:
    """This is a version of a view made ready to be written: its fields, and how rows are sent.

    Args:
        space: The online space.
        view: Name of the view.
        number: Number of its version.
        keys: Its key columns.
        features: Names of its features.
    """

    def __init__(
        self, space: str, view: str, number: int, *, keys: Sequence[str], features: Sequence[str]
    ) -> None:
        self.view, self.number = view, number
        name = name_of(view, number)
        self.prefix = key_prefix(keys or (DUMMY,))
        self.state_field = catalogue_field(space, name)
        self._suffix = space.encode()
        self._features = [packed_part(field) for field in feature_fields(name, features)]
        self._fields = packed_part(time_field(name)) + packed_part(fact_field(name))
        self._until = packed_part(until_field(name))
        self._head = b"*%d\r\n" % (10 + 2 * len(features)) + packed_part(b"EVALSHA")

    def command(
        self,
        script: bytes,
        fact_of: Fact,
        values: Sequence[bytes],
        until: Mapping[bytes, int | None] | None,
    ) -> bytes:
        """Return the command that takes a row if it is newer.

        Args:
            script: Name of the script that does.
            fact_of: The entity's key, event time, known time, digest of the values.
            values: The features.
            until: See `RedisOnlineStore.write`.
        """
        key, event_us, known_us, digest = fact_of
        time = time_bytes(event_us)
        fact = fact_bytes(event_us, known_us, digest, time)
        parts = [self._head, packed_part(script), packed_part(b"1")]
        parts += [packed_part(key + self._suffix), self._fields]
        said = b"" if until is None else until_bytes(until[key], fact)
        parts += [packed_part(time), packed_part(fact), self._until, packed_part(said)]
        for field, value in zip(self._features, values, strict=True):
            parts += [field, packed_part(value)]
        return b"".join(parts)


def _space_of(key: bytes, at: int) -> bytes | None:
    """Return what follows an entity's key, which tells itself how long it is."""
    try:
        [columns] = struct.unpack_from("<I", key)
        for _ in range(columns):
            _, length = struct.unpack_from("<II", key, at)
            at += 8 + length
    except struct.error:
        return None
    return key[at:]


def _is_whole(state: dict[str, Any] | None) -> bool:
    return state is not None and bool(state["whole"])
