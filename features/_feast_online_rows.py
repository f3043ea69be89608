"""This module turns the rows that Feast hands to an online store into what is stored of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num

from features._online_batch import Batch, FeatureDigest
from features._online_times import feast_seconds, instant_of, shown
from headrace.errors import LeakageError

if TYPE_CHECKING:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

# key, features, event time, known time, created time as Feast keeps it
Row = tuple[bytes, "Mapping[str, Value]", int, int, int | None]


def newest_rows(data: Sequence[FeastRow], *, view: str, now_us: int) -> dict[bytes, Row]:
    """Return for each entity its newest event, of equal ones the one created last.

    Args:
        data: Rows as Feast hands them over; times without a zone are UTC.
        view: Name of the view, for messages.
        now_us: The present moment.

    Returns:
        A row by entity key; of rows alike in both times the last given.

    Raises:
        LeakageError: A row happens, or was created, in the future.
    """
    best: dict[bytes, Row] = {}
    for entity_key, values, event, created in data:
        key = serialize_entity_key(entity_key, entity_key_serialization_version=3)
        event_us = instant_of(_aware(event))
        created_us = None if created is None else instant_of(_aware(created))
        known_us = event_us if created_us is None else max(event_us, created_us)
        if known_us > now_us:
            raise LeakageError(
                f"A row of view '{view}' is known only from {shown(known_us)}, and now it is "
                f"{shown(now_us)}: the online store never holds the future.",
                remedy="Write it once it is known; materialize up to a moment that has come.",
            )
        other = best.get(key)
        if other is None or (event_us, known_us) >= other[2:4]:
            best[key] = (key, values, event_us, known_us, created_us)
    return best


def batches_of(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, ...], Batch]]:
    """Yield rows as they are stored, together those that have the same features.

    Args:
        rows: One for each entity.
    """
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(row[1]), []).append(row)
    for names, group in alike.items():
        yield names, _batch(names, sorted(group, key=lambda row: row[0]))


def _batch(names: tuple[str, ...], rows: Sequence[Row]) -> Batch:
    cells: list[list[Any]] = []
    for name in names:
        values = [row[1][name] for row in rows]
        cells.append([value.SerializeToString() for value in values])
        cells.append([extract_text_and_num(value, False)[0] for value in values])
    digest = FeatureDigest(names)
    by_row = zip(*cells[::2], strict=True) if names else ((),) * len(rows)
    return Batch(
        keys=[row[0] for row in rows],
        event_us=[row[2] for row in rows],
        known_us=[row[3] for row in rows],
        digests=list(map(digest.of, by_row)),
        event_s=[feast_seconds(row[2]) for row in rows],
        known_s=[None if row[4] is None else feast_seconds(row[4]) for row in rows],
        cells=cells,
    )


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
