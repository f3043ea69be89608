"""This module reads features online from Redis, where a decision is made, without Feast.

The rows are those that Feast's own Redis store writes, and those of `features/redis_store.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from features._online_found import NOT_MATERIALIZED, UNKNOWN, Found, FoundMany
from features._online_view import UNREADABLE, Keys, ManyKeys, ReadyLookup, Times, unique
from features._redis_connection import PATIENCE, RawConnection, packed, packed_around, packed_part
from features._redis_layout import (
    CATALOGUE,
    catalogue_field,
    fact_field,
    feature_fields,
    is_whole,
    name_of,
    time_field,
    times_of,
    until_field,
    until_of,
)
from features.online_lookup import Lookup
from headrace.errors import StoreError

__all__ = ["RedisReader"]


class RedisReader:
    """This reads lookups from one space in Redis; the features of an entity are one snapshot.

    Each read asks whether the version that it looks up is whole. Where the catalogue says nothing,
    all is Feast's own, and what is known of an entity is known from when it happened.

    Args:
        url: Where Redis is, such as `redis://127.0.0.1:6379/0`.
        space: The space, such as "headrace" for live decisions.
        lookups: What will be looked up; reads name them by position.
        patience: How many seconds Redis may take to answer.
        rest: For how many seconds it is not asked again after it took longer.
    """

    def __init__(
        self,
        url: str,
        space: str,
        lookups: Sequence[Lookup],
        *,
        patience: float = PATIENCE,
        rest: float = 0.0,
    ) -> None:
        self._connection = RawConnection(url, patience=patience, rest=rest)
        self._lookups = [_RedisLookup(space, lookup) for lookup in lookups]

    def read(self, lookup_index: int, keys: Keys, at_us: int) -> Found:
        """Return an entity's features as they may be used at a moment.

        Args:
            lookup_index: Position of the lookup.
            keys: The entity: a value for each key column of the view. A null is no entity.
            at_us: The moment of the decision, in microseconds since 1970 UTC.

        Raises:
            DataError: A key is missing or of another type.
            LeakageError: The store holds what happened after `at_us`, or, in the space of a replay,
                what was not known by then.
            StoreError: Redis does not answer, or a value is not of the type that is looked up.
        """
        ready = self._lookups[lookup_index]
        key = ready.key_of(keys)
        if key is None:
            return UNKNOWN
        state, values = self._connection.ask(ready.asking((key,)), 2)
        if not ready.is_whole(state):
            return NOT_MATERIALIZED
        return ready.found(values, keys, at_us)

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
            StoreError: Redis does not answer, or a value is not of the type that is looked up.
        """
        ready = self._lookups[lookup_index]
        asked = ready.keys_of(keys)
        entity_keys, order = unique(asked)
        state, *rows = self._connection.ask(ready.asking(entity_keys), 1 + len(entity_keys))
        if not ready.is_whole(state):
            return ready.absent(len(asked))
        return ready.found_many(rows, order, keys, at_us)

    def close(self) -> None:
        """Close the connection; a later read opens it again."""
        self._connection.close()

    def __enter__(self) -> RedisReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _RedisLookup(ReadyLookup):
    """This is a lookup made ready for Redis: the commands, but for the entity, and the answers."""

    def __init__(self, space: str, lookup: Lookup) -> None:
        super().__init__(space, lookup)
        name = name_of(lookup.view, lookup.number)
        fields = feature_fields(name, lookup.features)
        self._space = space
        self._state = packed(b"HGET", CATALOGUE, catalogue_field(space, name))
        self._head, self._tail = packed_around(
            [b"HMGET"], [*fields, time_field(name), fact_field(name), until_field(name)]
        )
        self._suffix = space.encode()
        self._decoders = list(self.features.values())
        self._known: tuple[bytes | None, bool] = (b"", False)

    def asking(self, entity_keys: Sequence[bytes]) -> bytes:
        """Return the commands that ask for the view's state, then for entities."""
        head, tail, suffix = self._head, self._tail, self._suffix
        commands = [head + packed_part(key + suffix) + tail for key in entity_keys]
        return b"".join([self._state, *commands])

    def is_whole(self, state: bytes | None) -> bool:
        """Return whether the view may be read."""
        if state != self._known[0]:
            lookup = self.lookup
            said = is_whole(state, self._space, lookup.view, lookup.number)
            self._known = (state, said is not False)
        return self._known[1]

    def found(self, row: Sequence[bytes | None], keys: Keys, at_us: int) -> Found:
        """Return what an answer says, as it may be used at a moment."""
        times = self._times(*row[-3:])
        if times is None:
            return UNKNOWN
        values: list[Any] = self.nulls.copy()
        for place, ((_, decoders), blob) in enumerate(zip(self._decoders, row, strict=False)):
            if blob:
                try:
                    values[place] = decoders[blob[0]](blob)
                except UNREADABLE as error:
                    raise self.unreadable(self.lookup.features[place], blob, keys) from error
        return self.judged(values, times, keys, at_us)

    def found_many(
        self,
        rows: Sequence[Sequence[bytes | None]],
        order: Sequence[int] | None,
        keys: ManyKeys,
        at_us: int,
    ) -> FoundMany:
        """Return what answers say, as it may be used at a moment."""
        width = len(self.lookup.features) + 3
        columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in range(width)]
        times = [self._times(*each) for each in zip(*columns[-3:], strict=True)]
        if order is not None:  # the place of a null key
            times.append(None)
            for column in columns:
                column.append(None)
        return self.judged_many(columns[:-3], times, order, keys, at_us)

    def _times(self, time: bytes | None, fact: bytes | None, until: bytes | None) -> Times | None:
        try:
            times = times_of(time, fact)
            return None if times is None else (*times, until_of(until, time, fact))
        except ValueError as error:
            raise StoreError(
                f"What Redis has as the time of a row of view '{self.lookup.view}' cannot be "
                f"read: 0x{(time or b'').hex()}.",
                remedy="Materialize the view again.",
            ) from error
