"""This module holds many rows as they are stored online, and makes them of Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain, compress, repeat
from typing import TYPE_CHECKING, Any

from features._online_columns import COLUMNS, as_bytes, feast_seconds_of
from features._online_keys import ENTITYLESS, KEY_PARTS, int_key, key_prefix
from features._online_layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

EVENT, KNOWN, UNTIL = "event", "known", "until"


def key_name(position: int) -> str:
    """Return the name of a key's column in plain rows."""
    return f"key_{position}"


def feature_name(position: int) -> str:
    """Return the name of a feature's column in plain rows."""
    return f"feature_{position}"


@dataclass(frozen=True, slots=True)
class Batch:
    """These are rows of a view as they are stored, one for each entity, by column.

    Args:
        keys: Feast's entity keys.
        event_us: When each happened, in microseconds since 1970 UTC.
        known_us: From when each could be used, likewise.
        digests: Of the features' names and values.
        event_s: When each happened, in Feast's seconds.
        known_s: From when it could be used, likewise; None where Feast was told no created time.
        cells: Value and text of each feature in turn, a column each.
    """

    keys: list[bytes]
    event_us: list[int]
    known_us: list[int]
    digests: list[bytes]
    event_s: Sequence[int]
    known_s: Sequence[int | None]
    cells: list[list[Any]]

    def __len__(self) -> int:
        return len(self.keys)

    def facts(self) -> Iterable[tuple[bytes, int, int, bytes]]:
        """Return what is bound to the statement that writes a fact."""
        return zip(self.keys, self.event_us, self.known_us, self.digests, strict=True)

    def values(self) -> Iterable[tuple[Any, ...]]:
        """Return what is bound to the statement that writes the features of an entity."""
        return zip(self.keys, self.event_s, self.known_s, *self.cells, strict=True)

    def only(self, wanted: Sequence[bool]) -> Batch:
        """Return the rows that are wanted."""

        def taken(column: Sequence[Any]) -> list[Any]:
            return list(compress(column, wanted))

        return replace(
            self,
            keys=taken(self.keys),
            event_us=taken(self.event_us),
            known_us=taken(self.known_us),
            digests=taken(self.digests),
            event_s=taken(self.event_s),
            known_s=taken(self.known_s),
            cells=[taken(column) for column in self.cells],
        )


class BatchEncoder:
    """This turns plain rows of a view, as Arrow columns, into what is stored of them.

    It gives the same bytes as `RowEncoder`, for many rows at a time, and checks nothing: the rows
    come from `RowSource`, which did.

    Args:
        layout: How the view's rows are laid out.
    """

    def __init__(self, layout: Layout) -> None:
        self._keys = [(key_name(i), column.dtype) for i, column in layout.sorted_entities]
        self._prefix = key_prefix(layout.keys) if layout.keys else ENTITYLESS
        self._features = [(feature_name(i), COLUMNS[c.dtype]) for i, c in enumerate(layout.columns)]
        self._names = FeatureDigest([c.name for c in layout.columns])

    def encode(self, rows: pa.RecordBatch) -> Batch:
        """Return plain rows as they are stored.

        Args:
            rows: Columns `key_0` …, `event`, `known`, `feature_0` …; one row for each entity.
        """
        event, known = rows.column(EVENT).to_numpy(), rows.column(KNOWN).to_numpy()
        cells = [encode(rows.column(name)) for name, encode in self._features]
        values = [column for column, _ in cells]
        return Batch(
            keys=self.keys(rows),
            event_us=event.tolist(),
            known_us=known.tolist(),
            digests=list(map(self._names.of, zip(*values, strict=True))),
            event_s=feast_seconds_of(event),
            known_s=feast_seconds_of(known),
            cells=list(chain.from_iterable(cells)),
        )

    def keys(self, rows: pa.RecordBatch) -> list[bytes]:
        """Return the entity keys of plain rows."""
        parts = [
            _int_parts(rows.column(name)) if dtype == "int" else _text_parts(rows.column(name))
            for name, dtype in self._keys
        ]
        return list(map(b"".join, zip(repeat(self._prefix, rows.num_rows), *parts, strict=True)))


class FeatureDigest:
    """This digests the values of a row together with the names of its features.

    Args:
        names: Names of the features.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._begun = blake2b("\0".join(names).encode(), digest_size=8)

    def of(self, values: Sequence[bytes]) -> bytes:
        """Return the digest of a row's values."""
        digest = self._begun.copy()
        # no value begins with a zero, and none is a part of another
        digest.update(b"".join(values) if all(values) else b"".join(v or b"\0" for v in values))
        return digest.digest()


def _int_parts(column: pa.Array) -> list[bytes]:
    import numpy as np

    head = int_key(0)[:8]
    cells = np.empty((len(column), 16), np.uint8)
    cells[:, :8] = np.frombuffer(head, np.uint8)
    cells[:, 8:] = column.to_numpy().astype("<i8").view(np.uint8).reshape(-1, 8)
    return as_bytes(cells)


def _text_parts(column: pa.Array) -> Iterator[bytes]:
    return map(KEY_PARTS["string"], column.to_pylist())
