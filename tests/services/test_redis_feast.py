"""Redis between Feast's own store and ours: each reads what the other wrote, with equal values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.online_lookup import lookup_of
from features.online_read import OnlineFeatures
from features.publish import publish
from features.redis_reader import RedisReader
from features.redis_store import RedisOnlineStore
from features.store import PROJECT, feature_store
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
US = pa.timestamp("us", tz="UTC")
AT = NOON + timedelta(hours=1)


def as_given(source: pa.Table) -> pa.Table:
    return source


everything = FeatureView(
    name="everything",
    entities=(Entity(name="tail", column="tail"), Entity(name="leg", column="leg", dtype="int")),
    source=TableSchema(name="Source", columns=(Column(name="tail", dtype="string"),)),
    features=(
        Column(name="is_late", dtype="bool"),
        Column(name="seats", dtype="int"),
        Column(name="delay", dtype="float"),
        Column(name="gate", dtype="string"),
        Column(name="maker", dtype="category"),
        Column(name="built", dtype="timestamp"),
        Column(name="serviced", dtype="date"),
    ),
    compute=as_given,
    owner="flights",
    description="One feature of every type.",
    ttl=timedelta(hours=6),
)
NAMES = [c.name for c in everything.columns]
REFS = [f"everything:{name}" for name in NAMES]


def rows(seed: int, count: int = 40) -> pa.Table:
    pick = random.Random(seed)  # noqa: S311

    def some(make: Any) -> list[Any]:
        return [None if pick.random() < 0.2 else make() for _ in range(count)]

    events = [NOON - timedelta(microseconds=pick.randrange(3 * 10**10)) for _ in range(count)]
    whole = [datetime.fromtimestamp(pick.randrange(-(10**9), 10**9), UTC) for _ in range(count)]
    return pa.table(
        {
            "tail": [f"N{i}" if i % 3 else f"Ñ{i}" for i in range(count)],
            "leg": pa.array([i - 5 for i in range(count)], pa.int64()),
            "event_time": pa.array(events, US),
            "known_time": pa.array([e + timedelta(minutes=1) for e in events], US),
            "is_late": pa.array(some(lambda: pick.random() < 0.5), pa.bool_()),
            # beyond 53 bits Feast's own writer rounds the integers of a column with nulls
            "seats": pa.array(some(lambda: pick.randrange(-(1 << 53), 1 << 53)), pa.int64()),
            "delay": pa.array(some(lambda: pick.uniform(-1e9, 1e9)), pa.float64()),
            "gate": some(lambda: "é" * pick.randrange(90)),
            "maker": pa.array(some(lambda: pick.choice("AB")), pa.string()).dictionary_encode(),
            "built": pa.array(some(lambda: pick.choice(whole)), US),
            "serviced": pa.array(
                some(lambda: date(1970, 1, 1) + timedelta(days=pick.randrange(-9999, 9999))),
                pa.date32(),
            ),
        }
    )


def with_end(table: pa.Table) -> pa.Table:
    ends = [each + timedelta(hours=6) for each in table["event_time"].to_pylist()]
    return table.append_column("expires_at", pa.array(ends, US))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with (
        using_settings(home=folder, features_online_url=redis_server.url),
        using_clock(VirtualClock(AT)),
    ):
        publish(Table.of(with_end(rows(0)), schema=everything.schema), view=everything)
        yield folder


@pytest.fixture(autouse=True)
def at_the_same_moment(redis_url: str) -> Iterator[None]:
    with using_clock(VirtualClock(AT)):
        yield


def asked(table: pa.Table) -> list[dict[str, Any]]:
    """Every entity, one twice, and one that there is not."""
    pairs = table.select(["tail", "leg"]).to_pylist()
    return [*pairs, pairs[3], {"tail": "N0", "leg": 1 << 40}]


def by_feast(entities: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found = feature_store().get_online_features(REFS, entities).to_dict()
    # Feast has no dates: they are the midnight that begins them
    found["serviced"] = [None if v is None else v.date() for v in found["serviced"]]
    return {name: found[name] for name in NAMES}


def written_by_feast(table: pa.Table) -> None:
    from feast.utils import _convert_arrow_to_proto
    from feast.value_type import ValueType

    store = feature_store()
    registered = store.get_feature_view("everything")
    places = {name: table.column_names.index(name) for name in ("maker", "serviced")}
    table = table.set_column(places["maker"], "maker", table["maker"].cast(pa.string()))
    table = table.set_column(places["serviced"], "serviced", table["serviced"].cast(US))
    keys = {"tail": ValueType.STRING, "leg": ValueType.INT64}
    protos = _convert_arrow_to_proto(table, registered, keys)
    store._get_provider().online_write_batch(store.config, registered, protos, None)


def happened(table: pa.Table, events: list[datetime]) -> pa.Table:
    """The same rows, at other moments."""
    for place, name in ((2, "event_time"), (3, "known_time")):
        table = table.set_column(place, name, pa.array(events, US))
    return table


def fields(redis_url: str) -> dict[bytes, dict[bytes, bytes]]:
    from redis import Redis

    with Redis.from_url(redis_url) as client:
        keys = [key for key in client.scan_iter() if client.type(key) == b"hash"]
        return {key: client.hgetall(key) for key in keys if not key.startswith(b"headrace.")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_feast_wrote_is_read_as_feast_reads_it(seed):
    written_by_feast(rows(seed))
    entities = asked(rows(seed))

    with OnlineFeatures("everything") as features:
        ours = features.read(entities)

    expired = [state == "expired" for state in ours.statuses["is_late"]]
    theirs = {
        name: [None if gone else v for v, gone in zip(column, expired, strict=True)]
        for name, column in by_feast(entities).items()
    }
    assert ours.features == theirs
    assert 0 < sum(expired) < len(expired)
    assert ours.statuses["gate"][-1] == "unknown"


@pytest.mark.parametrize("seed", [4, 5])
def test_feasts_sdk_reads_what_we_wrote(seed, redis_url):
    with RedisOnlineStore(redis_url, PROJECT) as store:
        store.push(everything, rows(seed))

    expected = rows(seed).select(NAMES).to_pydict()
    theirs = by_feast(rows(seed).select(["tail", "leg"]).to_pylist())

    assert theirs == expected


def test_keys_fields_and_values_are_byte_by_byte_what_feast_writes(redis_url):
    from redis import Redis

    written_by_feast(rows(7))
    theirs = fields(redis_url)
    with Redis.from_url(redis_url) as client:
        client.flushall()

    with RedisOnlineStore(redis_url, PROJECT) as store:
        store.push(everything, rows(7))

    ours = fields(redis_url)
    extra = {field for entity in ours.values() for field in entity if b"_headrace:" in field}
    assert extra == {b"_headrace:everything"}
    plain = {k: {f: v for f, v in e.items() if f not in extra} for k, e in ours.items()}
    assert plain == theirs


def test_what_feast_writes_over_a_row_of_ours_has_feasts_time(redis_url):
    with RedisOnlineStore(redis_url, PROJECT) as store:
        store.push(everything, rows(8))
    later = happened(rows(9), [NOON] * 40)

    written_by_feast(later)

    at_us = 1_714_564_800_000_000 + 3_600_000_000
    with RedisReader(redis_url, PROJECT, [lookup_of(everything, ["seats"])]) as reader:
        found = reader.read(0, {"tail": "N1", "leg": -4}, at_us)
    assert (found.values, found.event_us, found.known_us) == (
        [later["seats"][1].as_py()],
        1_714_564_800_000_000,
        1_714_564_800_000_000,
    )


def test_a_late_event_of_ours_does_not_replace_a_newer_one_of_feasts(redis_url):
    written_by_feast(rows(10))
    events = [e - timedelta(microseconds=1) for e in rows(10)["event_time"].to_pylist()]

    with RedisOnlineStore(redis_url, PROJECT) as store:
        pushed = store.push(everything, happened(rows(11), events))

    assert (pushed.written, pushed.older) == (0, 40)
    assert (
        by_feast(rows(10).select(["tail", "leg"]).to_pylist()) == rows(10).select(NAMES).to_pydict()
    )
