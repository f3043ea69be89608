"""This module turns plain rows of a view into what the online store keeps of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from features._online_encode import ENCODERS
from features._online_keys import ENTITYLESS, KEY_PARTS, KEY_WANTED, key_prefix
from features._online_times import feast_seconds, shown
from features.view import FeatureView
from headrace.errors import DataError, LeakageError

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """This is a row as it is stored.

    Args:
        key: Feast's entity key.
        event_us: When it happened, in microseconds since 1970 UTC.
        known_us: From when it could be used, likewise.
        digest: Of the features' names and values, so that the same row is not written twice.
        cells: Both times in Feast's seconds, then value and text of each feature.
    """

    key: bytes
    event_us: int
    known_us: int
    digest: bytes
    cells: list[Any]


class RowEncoder:
    """This turns plain rows of a view into what is stored.

    Args:
        view: The view.
    """

    def __init__(self, view: FeatureView) -> None:
        self._view = view.name
        self._columns = [*view.keys, *(c.name for c in view.columns)]
        self._width = len(self._columns) + 2
        self._prefix = key_prefix(view.keys) if view.keys else ENTITYLESS
        self._keys = [
            (view.keys.index(e.column), e.dtype, KEY_PARTS[e.dtype])
            for e in sorted(view.entities, key=lambda e: e.column)
        ]
        self._first = len(view.keys) + 2
        self._encoders = [(c.name, c.dtype, ENCODERS[c.dtype]) for c in view.columns]
        names = "\0".join(c.name for c in view.columns).encode()
        self._digest = blake2b(names, digest_size=8)

    def encode(self, row: Row, *, now_us: int) -> Encoded:
        """Return a row as it is stored.

        Args:
            row: Keys, event time, known time, features.
            now_us: The present moment, in microseconds since 1970 UTC.

        Raises:
            DataError: A value is of another type, or a key or time is null.
            LeakageError: The row is known before it happened, or not known yet.
        """
        if len(row) != self._width:
            raise DataError(
                f"A row of view '{self._view}' has {len(row)} values; it should have "
                f"{self._width}: keys, event time, known time, features.",
                remedy="Make plain rows with plain_rows(view, table).",
            )
        key = self._prefix
        for i, dtype, part in self._keys:
            try:
                key += part(row[i])
            except (TypeError, UnicodeEncodeError, struct.error) as error:
                raise self._wrong_key(self._columns[i], dtype, row[i]) from error
        event, known = row[self._first - 2], row[self._first - 1]
        if type(event) is not int or type(known) is not int:
            raise DataError(
                f"A row of view '{self._view}' has the times {event!r} and {known!r}.",
                remedy="Give event time and known time as whole microseconds since 1970 UTC.",
            )
        if not event <= known <= now_us:
            raise self._leak(event, known, now_us)
        seconds = feast_seconds(event)
        cells: list[Any] = [seconds, seconds if known == event else feast_seconds(known)]
        digest = self._digest.copy()
        for (name, dtype, encode), value in zip(self._encoders, row[self._first :], strict=True):
            try:
                cell = encode(value)
            except (TypeError, AttributeError, ValueError, OverflowError, struct.error) as error:
                raise self._wrong_value(name, dtype, value) from error
            cells += cell
            digest.update(cell[0] or b"\0")  # no value begins with a zero
        return Encoded(key, event, known, digest.digest(), cells)

    def _wrong_key(self, column: str, dtype: str, value: Any) -> DataError:
        if value is None:
            return DataError(
                f"A row of view '{self._view}' has no '{column}', so that it is about no entity.",
                remedy="Leave rows without an entity out.",
            )
        return DataError(
            f"A row of view '{self._view}' has the key '{column}' {value!r}, of type "
            f"{type(value).__name__}; it should be {KEY_WANTED[dtype]}.",
            remedy="Give each key the type that the view's entity has.",
        )

    def _wrong_value(self, name: str, dtype: str, value: Any) -> DataError:
        if dtype == "timestamp" and type(value) is int:
            return DataError(
                f"The feature '{name}' of view '{self._view}' is {shown(value)}, but Feast keeps "
                "instants online in whole seconds.",
                remedy="Round it to seconds where the view computes it, so that it is the same "
                "offline.",
            )
        return DataError(
            f"The feature '{name}' of view '{self._view}' is {value!r}, of type "
            f"{type(value).__name__}, which cannot be stored as {dtype}.",
            remedy="Give features the types that the view declares.",
        )

    def _leak(self, event: int, known: int, now_us: int) -> LeakageError:
        if known < event:
            return LeakageError(
                f"A row of view '{self._view}' claims to be known at {shown(known)}, before it "
                f"happened at {shown(event)}.",
                remedy="Give it the moment from which it could be used.",
            )
        return LeakageError(
            f"A row of view '{self._view}' is known only from {shown(known)}, and now it is "
            f"{shown(now_us)}: the online store never holds the future.",
            remedy="Push it once it is known.",
        )


def newest(rows: Sequence[Encoded]) -> list[Encoded]:
    """Return one row for each entity: the newest event, then the one known last, then the last."""
    best: dict[bytes, Encoded] = {}
    for row in rows:
        other = best.get(row.key)
        if other is None or (row.event_us, row.known_us) >= (other.event_us, other.known_us):
            best[row.key] = row
    return list(best.values())
