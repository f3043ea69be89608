"""This module makes a lookup ready: its statement, its keys, how to read each of its features."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features._online_decode import DECODERS
from features._online_keys import KEY_PARTS, KEY_WANTED, key_prefix
from features._online_tables import LIVE, select_entity, table_name
from features._online_times import shown
from features.online_lookup import Lookup
from headrace.errors import DataError, LeakageError, StoreError


@dataclass(frozen=True, slots=True)
class Found:
    """This is what the online store has of an entity in one view.

    Args:
        values: The features, in the order of the lookup; None where the entity is unknown. All are
            null where what there is has expired.
        event_us: When it happened, in microseconds since 1970 UTC; None where unknown.
        known_us: From when it could be used, likewise.
        expired: Whether it may no longer be used.
    """

    values: list[Any] | None
    event_us: int | None = None
    known_us: int | None = None
    expired: bool = False


UNKNOWN = Found(None)


class ReadyLookup:
    """This is a lookup in a space, with all that does not depend on the entity worked out.

    Args:
        space: The space.
        lookup: The lookup.
    """

    def __init__(self, space: str, lookup: Lookup) -> None:
        self.lookup = lookup
        self.is_there = False  # whether its table was found
        self.table = table_name(space, lookup.view)
        self.select = select_entity(self.table)
        self._prefix = key_prefix([column for column, _ in lookup.keys])
        self._keys = [(column, KEY_PARTS[dtype]) for column, dtype in sorted(lookup.keys)]
        types = zip(lookup.features, lookup.dtypes, strict=True)
        self._features = {name: (i, DECODERS[dtype]) for i, (name, dtype) in enumerate(types)}
        self._nulls = [None] * len(lookup.features)
        self._replays = space != LIVE

    def key_of(self, keys: Mapping[str, Any]) -> bytes | None:
        """Return the entity's key as it is stored, None where a part of it is null."""
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

    def found(self, rows: Sequence[tuple[Any, ...]], keys: Mapping[str, Any], at_us: int) -> Found:
        """Return what the rows of `select_entity` say, as it may be used at a moment."""
        event: int | None = None
        known = 0
        values: list[Any] = self._nulls.copy()
        features = self._features
        for name, blob, event_us, known_us in rows:
            if name is None:
                event, known = event_us, known_us
            elif blob and name in features:
                position, decoders = features[name]
                try:
                    values[position] = decoders[blob[0]](blob)
                except (LookupError, ValueError, OverflowError, struct.error) as error:
                    raise self._unreadable(name, blob, keys) from error
        if event is None:
            return UNKNOWN  # not written by us: nobody knows since when it is known
        if event > at_us or (self._replays and known > at_us):
            raise self._future(keys, event, known, at_us)
        ttl = self.lookup.ttl_us
        if ttl is not None and event + ttl < at_us:
            return Found(self._nulls.copy(), event, known, True)
        return Found(values, event, known)

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

    def _unreadable(self, name: str, blob: bytes, keys: Mapping[str, Any]) -> StoreError:
        dtype = self.lookup.dtypes[self.lookup.features.index(name)]
        return StoreError(
            f"The online value of feature '{name}' of view '{self.lookup.view}' for "
            f"{self._entity(keys)} cannot be read as {dtype}: it begins with the bytes "
            f"0x{blob[:4].hex()}.",
            remedy="Push or materialize the view again, under the definition that is looked up.",
        )

    def _future(self, keys: Mapping[str, Any], event: int, known: int, at_us: int) -> LeakageError:
        what = f"happened at {shown(event)}" if event > at_us else f"was known at {shown(known)}"
        return LeakageError(
            f"The online store holds the future of view '{self.lookup.view}' for "
            f"{self._entity(keys)}: what it holds {what}, after the decision at {shown(at_us)}.",
            remedy="Deliver rows in the order in which they became known, or begin the space again "
            "as of the decision.",
        )

    def _entity(self, keys: Mapping[str, Any]) -> str:
        return ", ".join(f"{column} {keys[column]!r}" for column, _ in self.lookup.keys)
