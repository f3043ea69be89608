"""This module measures what it costs to read a view online, and keeps the figure with its date."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import StoreError

if TYPE_CHECKING:
    from features.view import FeatureView

_ENTITIES, _READS, _SECONDS = 500, 2_000, 1.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """This is what it costs to read all features of an entity, one entity at a time.

    Args:
        measured_at: When it was measured, ISO 8601 in UTC.
        number: Number of the view's version.
        space: The online space.
        store: "sqlite" or "redis".
        processor: What it was measured on.
        reads: How many reads were measured.
        cpu_ms_per_1000: CPU milliseconds of the reading process for 1,000 reads.
        wall_ms_per_1000: The same by the clock, waiting included.
        bytes_per_entity: Mean bytes of what is stored of an entity, indexes left out; None where
            the store does not tell.
    """

    measured_at: str
    number: int
    space: str
    store: str
    processor: str
    reads: int
    cpu_ms_per_1000: float
    wall_ms_per_1000: float
    bytes_per_entity: int | None


class _Reader(Protocol):
    def read(self, lookup_index: int, keys: Any, at_us: int) -> Any: ...

    def close(self) -> None: ...


def kept_cost(view: str, number: int) -> Cost | None:
    """Return what was measured last of a version of a view; None when nothing was."""
    try:
        return Cost(**json.loads(_file(view, number).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # never measured, or by another release
        return None


def measure_cost(view: FeatureView, *, number: int, space: str = "headrace") -> Cost:
    """Read entities of a view online for a second at most, and keep what that costs.

    Args:
        view: The view.
        number: Number of its version.
        space: The online space.

    Raises:
        StoreError: Nothing is published to take entities from, nothing of it is online, or the
            store does not answer.
    """
    from features._files import atomically
    from headrace.clock import current_clock
    from headrace.machine import machine
    from headrace.settings import settings

    entities = _entities(view, number)
    store, reader = _reader(space, view, number)
    try:
        entities = _online(reader, entities, view)
        spent, passed, reads = _spent(reader, entities)
    finally:
        reader.close()
    cost = Cost(
        measured_at=current_clock().now().isoformat(),
        number=number,
        space=space,
        store=store,
        processor=machine().processor,
        reads=reads,
        cpu_ms_per_1000=_figure(spent / reads * 1e6),
        wall_ms_per_1000=_figure(passed / reads * 1e6),
        bytes_per_entity=_bytes(settings().home, view.name, number, space)
        if store == "sqlite"
        else None,
    )
    file = _file(view.name, number)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomically(file, lambda path: path.write_text(json.dumps(asdict(cost), indent=1), "utf-8"))
    return cost


def _entities(view: FeatureView, number: int) -> Sequence[Mapping[str, Any]]:
    """Return some entities of the published rows, from all over them."""
    from features._published import read_published

    if not view.keys:
        return [{}]
    keys = read_published(f"{view.name}@v{number}", columns=list(view.keys))
    step = max(1, keys.num_rows // (4 * _ENTITIES))
    some = keys.take(list(range(0, keys.num_rows, step))).to_pylist()
    different = {tuple(row.values()): row for row in some}
    return list(different.values())[:_ENTITIES]


def _reader(space: str, view: FeatureView, number: int) -> tuple[str, _Reader]:
    from features._online_tables import LIVE
    from features.online_lookup import lookup_of
    from headrace.settings import settings

    lookups = [lookup_of(view, number=number)]
    url = settings().features_online_url
    if url is None or space != LIVE:
        from features.online import online_file
        from features.online_reader import OnlineReader

        return "sqlite", OnlineReader(online_file(), space, lookups)
    if url.startswith("redis"):
        from features.redis_reader import RedisReader

        return "redis", RedisReader(url, space, lookups)
    raise StoreError(
        "Features are read online from PostgreSQL, through Feast, which is not measured here.",
        remedy="Measure where decisions are made, or set 'features_online_url' to Redis.",
    )


def _online(
    reader: _Reader, entities: Sequence[Mapping[str, Any]], view: FeatureView
) -> Sequence[Mapping[str, Any]]:
    """Return the entities that are online; reading them once brings all up to temperature."""
    from headrace.clock import current_clock

    at = current_clock().now_us()
    found = [keys for keys in entities if reader.read(0, keys, at).values is not None]
    if not found:
        raise StoreError(
            f"No entity of view '{view.name}' is online, so that there is nothing to read.",
            remedy=f"Bring it online first: `headrace features materialize {view.name}`.",
        )
    return found


def _spent(reader: _Reader, entities: Sequence[Mapping[str, Any]]) -> tuple[float, float, int]:
    """Return CPU seconds, seconds by the clock, and reads."""
    from time import perf_counter, process_time

    from headrace.clock import current_clock

    at = current_clock().now_us()
    reads, began, cpu = 0, perf_counter(), process_time()
    while reads < _READS and perf_counter() - began < _SECONDS:
        for keys in entities:
            reader.read(0, keys, at)
        reads += len(entities)
    return process_time() - cpu, perf_counter() - began, reads


def _bytes(home: Path, view: str, number: int, space: str) -> int | None:
    """Return the mean bytes of values, keys and times of some entities."""
    from features._online_tables import table_name

    table = table_name(space, view, number).replace('"', '""')
    file = home / "features" / "online.db"
    try:
        with sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True) as connection:
            stored = connection.execute(
                f"""
                SELECT sum(length(entity_key) + length(feature_name) + ifnull(length(value), 0)
                           + ifnull(length(value_text), 0) + 16), count(DISTINCT entity_key)
                FROM (SELECT * FROM "{table}" ORDER BY entity_key LIMIT 20000)
                """  # noqa: S608  a name of ours, quoted
            ).fetchone()
    except sqlite3.Error:
        return None
    return round(stored[0] / stored[1]) if stored and stored[1] else None


def _file(view: str, number: int) -> Path:
    from features._published import folder_of

    return folder_of(view) / f"cost.v{number}.json"


def _figure(value: float) -> float:
    return float(f"{value:.3g}")
