"""This module makes a lookup ready: its keys, how to read its features, when they may be used."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from features._online_decode import DECODERS, decode_column
from features._online_found import UNKNOWN, Found, FoundMany, Status
from features._online_keys import ENTITYLESS, KEY_PARTS, KEY_WANTED, key_prefix
from features._online_tables import LIVE
from features._online_times import shown
from features.online_lookup import Lookup
from headrace.errors import DataError, LeakageError, StoreError

Keys = Mapping[str, Any]
ManyKeys = Sequence[Keys] | Mapping[str, Sequence[Any]]
# event time, known time, and the moment from which on it no longer holds; None where none is known
Times = tuple[int, int, int | None]
UNREADABLE = (LookupError, ValueError, OverflowError, TypeError, struct.error)


class ReadyLookup:
    """This is a lookup in a space, with all that does not depend on the entity worked out.

    Args:
        space: The space.
        lookup: The lookup.
    """

    def __init__(self, space: str, lookup: Lookup) -> None:
        self.lookup = lookup
        self.nulls: list[Any] = [None] * len(lookup.features)
        types = zip(lookup.features, lookup.dtypes, strict=True)
        self.features = {name: (i, DECODERS[dtype]) for i, (name, dtype) in enumerate(types)}
        columns = [column for column, _ in lookup.keys]
        self._prefix = key_prefix(columns) if columns else ENTITYLESS
        self._keys = [(column, KEY_PARTS[dtype]) for column, dtype in sorted(lookup.keys)]
        self._replays = space != LIVE

    def key_of(self, keys: Keys) -> bytes | None:
        """Return the entity's key as it is stored, None where a part of it is null.

        Raises:
            DataError: A key is missing or of another type.
        """
        key, column = self._prefix, ""
        try:
            for column, part in self._keys:
                value = keys[column]
                if value is None:
                    return None
                key += part(value)
        except (KeyError, TypeError, UnicodeEncodeError, struct.error) as error:
            raise self._wrong_key(column, keys) from error
        return key

    def keys_of(self, keys: ManyKeys) -> list[bytes | None]:
        """Return the keys of many entities, likewise.

        Args:
            keys: A mapping for each entity, or for each key column its values. A view without an
                entity is read once, or once for each mapping or value.

        Raises:
            DataError: A key is missing or of another type, or columns differ in length.
        """
        if not isinstance(keys, Mapping):
            return [self.key_of(each) for each in keys]
        lengths = {len(column) for column in keys.values()}
        missing = [column for column, _ in self._keys if column not in keys]
        if missing:
            raise self._wrong_key(missing[0], keys)
        if len(lengths) > 1:
            shown_lengths = {name: len(column) for name, column in keys.items()}
            raise DataError(
                f"The keys of view '{self.lookup.view}' differ in length: {shown_lengths}.",
                remedy="Give each key column a value for each entity.",
            )
        if not self._keys:
            return [self._prefix] * (lengths.pop() if lengths else 1)
        names = [column for column, _ in self._keys]
        rows = zip(*(keys[column] for column in names), strict=True)
        if len(names) > 1:
            return [self.key_of(dict(zip(names, row, strict=True))) for row in rows]
        (name, part), prefix = self._keys[0], self._prefix
        try:
            return [None if v is None else prefix + part(v) for v in keys[name]]
        except (TypeError, UnicodeEncodeError, struct.error):
            return [self.key_of({name: value}) for value in keys[name]]  # raises and says which

    def may_use(self, event: int, known: int, at_us: int) -> bool:
        """Return whether a row lies before a moment, so that a decision then may have used it."""
        return event <= at_us and not (self._replays and known > at_us)

    def expired(self, event: int, until: int | None, at_us: int) -> bool:
        """Return whether a row may no longer be used at a moment."""
        ttl = self.lookup.ttl_us
        return (ttl is not None and event + ttl < at_us) or (until is not None and until <= at_us)

    def judged(self, values: list[Any], times: Times, keys: Keys, at_us: int) -> Found:
        """Return values as they may be used at a moment.

        Raises:
            LeakageError: They lie after it.
        """
        # what `may_use` and `expired` say, without two calls on the way of every decision
        event, known, until = times
        if event > at_us or (self._replays and known > at_us):
            raise self.future(keys, event, known, at_us)
        ttl = self.lookup.ttl_us
        if (ttl is not None and event + ttl < at_us) or (until is not None and until <= at_us):
            return Found(self.nulls.copy(), event, known, True)
        return Found(values, event, known)

    def judged_many(
        self,
        blobs: Sequence[list[bytes | None]],
        times: Sequence[Times | None],
        order: Sequence[int] | None,
        keys: ManyKeys,
        at_us: int,
    ) -> FoundMany:
        """Return what was read of many entities, as it may be used at a moment.

        Args:
            blobs: For each feature the value of each entity that was read.
            times: Event time and known time of each, and from when on it no longer holds; None
                where it is not known.
            order: For each entity asked for, which of those it is; None for the same in order.
            keys: What was asked for.
            at_us: The moment, in microseconds since 1970 UTC.

        Raises:
            LeakageError: One lies after the moment.
            StoreError: A value is not of the type that is looked up.
        """
        status: list[Status] = []
        for place, time in enumerate(times):
            if time is None:
                status.append("unknown")
                continue
            event, known, until = time
            if not self.may_use(event, known, at_us):
                raise self.future(self._asked(place, order, keys), event, known, at_us)
            status.append("expired" if self.expired(event, until, at_us) else "present")
        gone = [place for place, state in enumerate(status) if state != "present"]
        for column in blobs if gone else ():
            for place in gone:
                column[place] = None
        columns = [self._decoded(i, column, order, keys) for i, column in enumerate(blobs)]
        events = [None if time is None else time[0] for time in times]
        knowns = [None if time is None else time[1] for time in times]
        if order is not None:
            columns = [[column[i] for i in order] for column in columns]
            status, events = [status[i] for i in order], [events[i] for i in order]
            knowns = [knowns[i] for i in order]
        lookup = self.lookup
        return FoundMany(lookup.features, lookup.dtypes, columns, status, events, knowns)

    def absent(self, count: int) -> FoundMany:
        """Return what is found of so many entities while the view is not there."""
        none: list[int | None] = [None] * count
        lookup = self.lookup
        status: list[Status] = ["not_materialized"] * count
        columns = [[None] * count for _ in lookup.features]
        return FoundMany(
            lookup.features, lookup.dtypes, columns, status, none, none, materialized=False
        )

    def unreadable(self, name: str, blob: bytes, keys: Keys) -> StoreError:
        """Return the error for a value that is not of the type that is looked up."""
        dtype = self.lookup.dtypes[self.lookup.features.index(name)]
        return StoreError(
            f"The online value of feature '{name}' of view '{self.lookup.view}' for "
            f"{self._entity(keys)} cannot be read as {dtype}: it begins with the bytes "
            f"0x{blob[:4].hex()}.",
            remedy="Push or materialize the view again, under the definition that is looked up.",
        )

    def future(self, keys: Keys, event: int, known: int, at_us: int) -> LeakageError:
        """Return the error for a row that lies after the moment of the decision."""
        what = f"happened at {shown(event)}" if event > at_us else f"was known at {shown(known)}"
        return LeakageError(
            f"The online store holds the future of view '{self.lookup.view}' for "
            f"{self._entity(keys)}: what it holds {what}, after the decision at {shown(at_us)}.",
            remedy="Deliver rows in the order in which they became known, or begin the space again "
            "as of the decision.",
        )

    def _decoded(
        self, i: int, column: list[bytes | None], order: Sequence[int] | None, keys: ManyKeys
    ) -> list[Any]:
        try:
            return decode_column(self.lookup.dtypes[i], column)
        except UNREADABLE as error:
            decoders = DECODERS[self.lookup.dtypes[i]]
            for place, blob in enumerate(column):
                try:
                    _ = blob and decoders[blob[0]](blob)
                except UNREADABLE:
                    asked = self._asked(place, order, keys)
                    raise self.unreadable(self.lookup.features[i], blob or b"", asked) from error
            raise

    def _asked(self, place: int, order: Sequence[int] | None, keys: ManyKeys) -> Keys:
        """Return the keys of an entity that was read."""
        row = place if order is None else order.index(place)
        if not isinstance(keys, Mapping):
            return keys[row]
        return {column: keys[column][row] for column, _ in self._keys}

    def _wrong_key(self, column: str, keys: Mapping[str, Any]) -> DataError:
        if column in keys:
            got = f"{keys[column]!r}, of type {type(keys[column]).__name__}"
        else:
            got = f"missing among {sorted(keys)}"
        return DataError(
            f"The key '{column}' of view '{self.lookup.view}' is {got}; it should be "
            f"{KEY_WANTED[dict(self.lookup.keys)[column]]}.",
            remedy="Give each key column a value of its type, or null where there is no entity.",
        )

    def _entity(self, keys: Keys) -> str:
        if not self.lookup.keys:
            return "everybody"
        return ", ".join(f"{column} {keys[column]!r}" for column, _ in self.lookup.keys)


def unique(keys: Sequence[bytes | None]) -> tuple[list[bytes], list[int] | None]:
    """Return the keys to read, each once, and for each one asked for which of them it is.

    A null is one after the last; the order is None where the keys are as asked for.
    """
    places: dict[bytes, int] = {}
    for key in keys:
        if key is not None:
            places.setdefault(key, len(places))
    if len(places) == len(keys):
        return list(places), None
    nothing = len(places)
    return list(places), [nothing if key is None else places[key] for key in keys]


__all__ = ["UNKNOWN", "Found", "FoundMany", "Keys", "ManyKeys", "ReadyLookup", "Times", "unique"]
