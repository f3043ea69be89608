"""Feast's own SDK on our online store: materialize, push and read, version by version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    ValueType,
)
from feast.data_source import PushMode
from feast.types import Array, Float64, Int64, String

from features import _feast_online_store
from features._online_tables import state_of
from features.feast_online import BulkSqliteOnlineStore
from headrace.clock import VirtualClock, using_clock

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(
        config=RepoConfig(
            project="headrace",
            provider="local",
            repo_path=tmp_path,
            registry={
                "registry_type": "sql",
                "path": f"sqlite:///{tmp_path / 'registry.db'}",
                "cache_ttl_seconds": 0,
                "enable_online_feature_view_versioning": True,
            },
            offline_store={"type": "features.feast_offline.AsofOfflineStore"},
            online_store={
                "type": "features.feast_online.BulkSqliteOnlineStore",
                "path": str(tmp_path / "online.db"),
            },
            batch_engine={"type": "features.feast_online.WholeVersionsEngine"},
            entity_key_serialization_version=3,
        )
    )


def rows(*each: tuple[str, int, float]) -> pa.Table:
    at = [NOON + timedelta(minutes=minutes) for _, minutes, _ in each]
    us = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "origin": [origin for origin, _, _ in each],
            "event_time": pa.array(at, us),
            "created": pa.array(at, us),
            "wind": [value for _, _, value in each],
            "gusts": [[value, -value] for _, _, value in each],
            "seen": [int(value) for _, _, value in each],
        }
    )


def file_of(store: FeatureStore) -> Path:
    """Return the file of rows; the store's own `repo_path` is where the tests run."""
    return Path(store.config.repo_path) / "rows.parquet"


def applied(store: FeatureStore, *extra: Field) -> FeatureView:
    file = FileSource(
        name="rows",
        path=str(file_of(store)),
        timestamp_field="event_time",
        created_timestamp_column="created",
    )
    airport = Entity(name="airport", join_keys=["origin"], value_type=ValueType.STRING)
    view = FeatureView(
        name="weather",
        entities=[airport],
        schema=[
            Field(name="origin", dtype=String),
            Field(name="wind", dtype=Float64),
            Field(name="gusts", dtype=Array(Float64)),
            *extra,
        ],
        source=PushSource(name="pushed", batch_source=file),
    )
    store.apply([airport, view])
    return view


def winds(store: FeatureStore, *origins: str, view: str = "weather") -> dict[str, list[Any]]:
    found = store.get_online_features(
        [f"{view}:wind", f"{view}:gusts"], [{"origin": origin} for origin in origins]
    ).to_dict()
    return {name: found[name] for name in ("wind", "gusts")}


def test_feast_materializes_pushes_and_reads_and_a_late_event_changes_nothing(store):
    pq.write_table(rows(("JFK", 5, 7.0), ("JFK", 2, 1.0), ("LGA", 3, 4.0)), file_of(store))
    applied(store)

    store.materialize(NOON - timedelta(days=1), NOON + timedelta(hours=1))
    frame = rows(("JFK", 1, 99.0), ("EWR", 1, 5.0)).to_pandas()
    store.push("pushed", frame, to=PushMode.ONLINE)
    store.write_to_online_store("weather", rows(("LGA", 2, 99.0)).to_pandas())

    assert winds(store, "JFK", "LGA", "EWR", "BOS") == {
        "wind": [7.0, 4.0, 5.0, None],
        "gusts": [[7.0, -7.0], [4.0, -4.0], [5.0, -5.0], None],
    }


def test_feasts_incremental_materialization_brings_what_is_newer(store):
    file = file_of(store)
    pq.write_table(rows(("JFK", 5, 7.0)), file)
    applied(store)
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(minutes=10))

    pq.write_table(rows(("JFK", 5, 7.0), ("JFK", 20, 8.0), ("LGA", 15, 4.0)), file)
    store.materialize_incremental(NOON + timedelta(minutes=30))

    assert winds(store, "JFK", "LGA")["wind"] == [8.0, 4.0]


def test_a_new_version_is_hidden_until_feast_has_filled_it(store, monkeypatch):
    file = file_of(store)
    pq.write_table(rows(*((f"A{i}", 5, float(i)) for i in range(6))), file)
    applied(store)
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(hours=1))
    applied(store, Field(name="seen", dtype=Int64))  # another version: v1
    during: list[Any] = []
    write = BulkSqliteOnlineStore.online_write_batch

    def looking(self: Any, config: Any, table: Any, data: Any, progress: Any) -> None:
        write(self, config, table, data[:3], progress)
        during.append((self._claimed_whole(config, table), winds(store, "A0")["wind"]))
        during.append(winds(store, "A0", view="weather@v0")["wind"])
        write(self, config, table, data[3:], progress)

    def claimed_whole(self: Any, config: Any, table: Any) -> bool:
        state = state_of(self._file(config).execute, _feast_online_store._table(config, table))
        return state is not None and state.whole

    monkeypatch.setattr(BulkSqliteOnlineStore, "_claimed_whole", claimed_whole, raising=False)
    monkeypatch.setattr(BulkSqliteOnlineStore, "online_write_batch", looking)
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(hours=1))

    assert during == [(False, [None]), [0.0]]
    assert winds(store, "A0", "A5")["wind"] == [0.0, 5.0]


def test_a_view_without_entities_is_materialized_and_read(store):
    pq.write_table(rows(("JFK", 5, 7.0), ("JFK", 9, 8.0)), file_of(store))
    source = FileSource(path=str(file_of(store)), timestamp_field="event_time")
    schema = [Field(name="wind", dtype=Float64)]
    store.apply([FeatureView(name="city", entities=[], schema=schema, source=source)])

    store.materialize(NOON - timedelta(days=1), NOON + timedelta(hours=1))

    found = store.get_online_features(["city:wind"], [{"__dummy_id": ""}]).to_dict()
    assert found["wind"] == [8.0]
