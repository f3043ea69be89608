"""This module reads a lookup from SQLite's tables: those of our store, and those of Feast's own.

Beside a table of ours lie the facts, with exact times. A table that only Feast's own SQLite store
wrote has none: there a row's times are those that Feast keeps, in whole seconds, and a row without
a created time is known when it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from features._online_tables import facts_name, has_until, table_name
from features._online_times import instant_of
from features._online_view import (
    UNKNOWN,
    UNREADABLE,
    Found,
    FoundMany,
    Keys,
    ManyKeys,
    ReadyLookup,
    Times,
)
from features.online_lookup import Lookup

_WIDE = 2  # a table with more than twice the features that are wanted is read by their names
CHUNK = 4096  # entities in a statement; SQLite takes 32,766 parameters
Execute = Callable[..., Any]


class SqliteLookup(ReadyLookup):
    """This is a lookup made ready for SQLite; it is not there until `prepare` found its table.

    Args:
        space: The space.
        lookup: The lookup.
    """

    def __init__(self, space: str, lookup: Lookup) -> None:
        super().__init__(space, lookup)
        self.table = table_name(space, lookup.view, lookup.number)
        self.is_there = False
        self.select, self._where, self._until, self._feasts = "", "", "NULL", False
        self._statements: dict[int, str] = {}  # by how many entities they read

    def prepare(self, execute: Execute, *, feasts: bool) -> bool:
        """Choose the statements, now that the table is there; return whether it can be read.

        Feast's own makes a table when a view is registered, long before anything is in it.

        Args:
            execute: Executes a statement.
            feasts: Whether it is Feast's own, without facts.
        """
        values = _quoted(self.table)
        stored = execute(
            f"SELECT count(*) FROM {values} "  # noqa: S608  a quoted name of ours
            f"WHERE entity_key = (SELECT entity_key FROM {values} LIMIT 1)"
        ).fetchone()[0]
        few = len(self.lookup.features) * _WIDE < stored
        names = ", ".join(_text(name) for name in self.lookup.features)
        self._where = f" AND feature_name IN ({names})" if few else ""
        self._until = "until_us" if not feasts and has_until(execute, self.table) else "NULL"
        # in an older file the column may come with the next row that is written
        self._feasts, self.is_there = feasts, self._until != "NULL"
        self._statements = {}
        self.select = self._statement("= ?1", key="")
        return stored > 0 or not feasts

    def found(self, rows: Sequence[tuple[Any, ...]], keys: Keys, at_us: int) -> Found:
        """Return what the rows of `select` say, as it may be used at a moment.

        Raises:
            LeakageError: It lies after it.
            StoreError: A value is not of the type that is looked up.
        """
        times: Times | None = None
        values: list[Any] = self.nulls.copy()
        features = self.features
        if self._feasts:
            times = _feasts_times(rows)
        for name, blob, event_us, known_us in rows:
            if name is None:
                times = (event_us, known_us, blob)
            elif blob and name in features:
                position, decoders = features[name]
                try:
                    values[position] = decoders[blob[0]](blob)
                except UNREADABLE as error:
                    raise self.unreadable(name, blob, keys) from error
        if times is None:
            return UNKNOWN  # not written by us, into a table of ours: what it is about is unknown
        return self.judged(values, times, keys, at_us)

    def found_many(
        self,
        execute: Execute,
        entity_keys: Sequence[bytes],
        order: Sequence[int] | None,
        keys: ManyKeys,
        at_us: int,
    ) -> FoundMany:
        """Read many entities, as they may be used at a moment.

        Args:
            execute: Executes a statement.
            entity_keys: The keys to read, each once.
            order: For each entity asked for, which of those it is; None for the same in order.
            keys: What was asked for.
            at_us: The moment, in microseconds since 1970 UTC.
        """
        count = len(entity_keys) + (order is not None)
        blobs: list[list[bytes | None]] = [[None] * count for _ in self.lookup.features]
        column_of = dict(zip(self.lookup.features, blobs, strict=True))
        times: list[Times | None] = [None] * count
        place_of = {key: place for place, key in enumerate(entity_keys)}
        for start in range(0, len(entity_keys), CHUNK):
            chunk = list(entity_keys[start : start + CHUNK])
            # few lengths, so that SQLite has compiled the statement before
            size = 1 << (len(chunk) - 1).bit_length()
            statement = self._statements.get(size)
            if statement is None:
                asked = ", ".join(f"?{i}" for i in range(1, size + 1))
                statement = self._statement(f"IN ({asked})", key="entity_key, ")
                self._statements[size] = statement
            padded = [*chunk, *(chunk[-1:] * (size - len(chunk)))]
            if self._feasts:
                for key, name, blob, event_ts, created_ts in execute(statement, padded):
                    place = place_of[key]
                    times[place] = _later(times[place], event_ts, created_ts)
                    if name in column_of:
                        column_of[name][place] = blob
                continue
            for key, name, blob, known_us, until_us in execute(statement, padded):
                if name is None:
                    times[place_of[key]] = (blob, known_us, until_us)
                elif name in column_of:
                    column_of[name][place_of[key]] = blob
        return self.judged_many(blobs, times, order, keys, at_us)

    def _statement(self, which: str, *, key: str) -> str:
        """Return the one statement, so one snapshot, that reads entities.

        Rows are (feature name, value, event time, known time): name and value for a feature; for
        the fact no name, and until when it holds as the value. For many entities they are (entity
        key, feature name, value or event time, known time, until when).
        """
        values, facts = _quoted(self.table), _quoted(facts_name(self.table))
        if self._feasts:
            return (
                f"SELECT {key}feature_name, value, event_ts, created_ts FROM {values} "  # noqa: S608
                f"WHERE entity_key {which}{self._where}"
            )
        if key:
            return (
                f"SELECT {key}NULL, event_us, known_us, {self._until} FROM {facts} "  # noqa: S608
                f"WHERE entity_key {which} "
                f"UNION ALL SELECT {key}feature_name, value, NULL, NULL FROM {values} "
                f"WHERE entity_key {which}{self._where}"
            )
        return (
            f"SELECT NULL, {self._until}, event_us, known_us FROM {facts} "  # noqa: S608
            f"WHERE entity_key {which} "
            f"UNION ALL SELECT feature_name, value, NULL, NULL FROM {values} "
            f"WHERE entity_key {which}{self._where}"
        )


def _feasts_times(rows: Sequence[tuple[Any, ...]]) -> Times | None:
    """Return the times of rows of Feast's own."""
    times: Times | None = None
    for _, _, event_ts, created_ts in rows:
        times = _later(times, event_ts, created_ts)
    return times


def _later(times: Times | None, event_ts: int, created_ts: int | None) -> Times:
    """Return the later of times in microseconds and of those of a row of Feast's own."""
    event = _instant(event_ts)
    known = max(event, event if created_ts is None else _instant(created_ts))
    # Feast's own knows no moment from which on a row no longer holds
    return (event, known, None) if times is None else (*max(times[:2], (event, known)), None)


def _instant(seconds: int) -> int:
    """Return a time that Feast's SQLite store wrote, in microseconds since 1970 UTC.

    It reads its seconds as this machine's wall time, and takes that for UTC.
    """
    return instant_of(datetime.fromtimestamp(seconds).replace(tzinfo=UTC))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
