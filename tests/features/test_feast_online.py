"""Feast's online store on our tables: Feast's bytes, a newer event stays, both writers agree."""

from __future__ import annotations

import inspect
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feast
import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore as FeastOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import (
    BoolList,
    DoubleList,
    Int64List,
    Map,
    StringList,
    Value,
)
from feast.types import Float64, String

from features._feast_online_store import FEAST_VERSION
from features.feast_online import BulkSqliteOnlineStore, BulkSqliteOnlineStoreConfig
from features.online import OnlineStore
from features.online_lookup import lookup_of
from features.online_reader import OnlineReader
from features.view import Entity as OurEntity
from features.view import FeatureView as OurView
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DefinitionError, LeakageError, StoreError
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
OURS, STOCK = "features.feast_online.BulkSqliteOnlineStore", "sqlite"


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield tmp_path


def config(path: Path, kind: str = OURS, project: str = "headrace", **options: Any) -> RepoConfig:
    return RepoConfig(
        project=project,
        provider="local",
        repo_path=path.parent,
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{path.parent / 'registry.db'}",
            "enable_online_feature_view_versioning": True,
        },
        online_store={"type": kind, "path": str(path), **options},
        entity_key_serialization_version=3,
    )


def a_view(*features: str, name: str = "weather", number: int | None = None) -> FeatureView:
    view = FeatureView(
        name=name,
        entities=[Entity(name="airport", join_keys=["origin"])],
        schema=[
            Field(name="origin", dtype=String),
            *(Field(name=feature, dtype=Float64) for feature in features or ("wind",)),
        ],
        source=FileSource(path="rows.parquet", timestamp_field="event_time"),
    )
    view.current_version_number = number
    return view


def key(origin: str) -> EntityKey:
    return EntityKey(join_keys=["origin"], entity_values=[Value(string_val=origin)])


def row(
    origin: str, minutes: float, *, created: float | None = None, **values: float
) -> tuple[EntityKey, dict[str, Value], datetime, datetime | None]:
    at = NOON + timedelta(minutes=minutes)
    known = None if created is None else NOON + timedelta(minutes=created)
    return key(origin), {name: Value(double_val=v) for name, v in values.items()}, at, known


def wind(store: BulkSqliteOnlineStore, told: RepoConfig, *origins: str) -> list[float | None]:
    found = store.online_read(told, a_view(), [key(o) for o in origins], ["wind"])
    return [None if values is None else values["wind"].double_val for _, values in found]


def as_stored(path: Path, table: str = "headrace_weather") -> list[tuple[Any, ...]]:
    columns = "entity_key, feature_name, value, value_text, vector_value, event_ts, created_ts"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            f'SELECT {columns}, typeof(event_ts) FROM "{table}" '  # noqa: S608
            "ORDER BY entity_key, feature_name"
        ).fetchall()


# the bytes


def random_value(draw: random.Random, kind: str) -> Value:
    scalars: dict[str, Any] = {
        "double_val": lambda: draw.choice([draw.uniform(-1e9, 1e9), 0.0, -0.0, 1e300, 5e-324]),
        "float_val": lambda: draw.uniform(-1e3, 1e3),
        "int64_val": lambda: draw.randint(-(1 << 63), (1 << 63) - 1),
        "int32_val": lambda: draw.randint(-(1 << 31), (1 << 31) - 1),
        "bool_val": lambda: draw.random() < 0.5,
        "string_val": lambda: "é'\0" + "x" * draw.randint(0, 300),
        "bytes_val": lambda: draw.randbytes(draw.randint(0, 200)),
        "unix_timestamp_val": lambda: draw.randint(-(1 << 33), 1 << 34),
    }
    return Value() if draw.random() < 0.1 else Value(**{kind: scalars[kind]()})


SCALARS = (
    "double_val", "float_val", "int64_val", "int32_val", "bool_val", "string_val", "bytes_val",
    "unix_timestamp_val",
)  # fmt: skip


def random_rows(seed: int, count: int) -> list[Any]:
    draw = random.Random(seed)  # noqa: S311  the same rows each time
    rows = []
    for number in range(count):
        event = NOON - timedelta(microseconds=draw.randint(0, 10**15))
        created = draw.choice([None, event + timedelta(microseconds=draw.randint(0, 10**6))])
        parts = [Value(string_val=f"N{number}"), Value(int64_val=draw.randint(-9, 1 << 40))]
        entity = EntityKey(join_keys=["tail", "leg"], entity_values=parts)
        rows.append((entity, {k: random_value(draw, k) for k in SCALARS}, event, created))
    return rows


def test_every_byte_is_what_feasts_own_store_writes(tmp_path):
    view, rows = a_view(*SCALARS), random_rows(seed=5, count=200)
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    stock = SqliteOnlineStore()
    stock.update(config(theirs, STOCK), [], [view], [], [], partial=False)
    stock.online_write_batch(config(theirs, STOCK), view, rows, None)

    BulkSqliteOnlineStore().online_write_batch(config(ours), view, rows, None)

    assert as_stored(ours) == as_stored(theirs)
    assert len(as_stored(ours)) == 200 * len(SCALARS)


LISTS = {
    "doubles": Value(double_list_val=DoubleList(val=[1.5, -0.0])),
    "numbers": Value(int64_list_val=Int64List(val=[1, -2, 1 << 40])),
    "words": Value(string_list_val=StringList(val=["é", ""])),
    "flags": Value(bool_list_val=BoolList(val=[True, False])),
    "empty": Value(string_list_val=StringList(val=[])),
    "map": Value(map_val=Map(val={"a": Value(int64_val=1)})),
    "null": Value(),
}


def test_values_of_every_type_are_read_as_feasts_own_store_reads_them(tmp_path):
    rows = random_rows(seed=7, count=20)
    for each in rows:
        each[1].update(LISTS)
    view, names = a_view(*SCALARS, *LISTS), [*SCALARS, *LISTS]
    keys = [each[0] for each in rows]
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    stock, bulk = SqliteOnlineStore(), BulkSqliteOnlineStore()
    stock.update(config(theirs, STOCK), [], [view], [], [], partial=False)
    stock.online_write_batch(config(theirs, STOCK), view, rows, None)
    bulk.online_write_batch(config(ours), view, rows, None)
    expected = stock.online_read(config(theirs, STOCK), view, keys, names)

    assert bulk.online_read(config(ours), view, keys, names) == expected
    assert bulk.online_read(config(ours), view, keys) == expected
    other = BulkSqliteOnlineStore()
    assert other.online_read(config(theirs), view, keys, names) == expected
    assert other.online_read(config(ours), view, keys, names) == expected


# which row wins


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        pytest.param((10, 10), (5, 60), 1.0, id="an older event, created later"),
        pytest.param((5, 5), (10, 10), 2.0, id="a newer event"),
        pytest.param((5, 8), (5, 7), 1.0, id="the same event, created earlier"),
        pytest.param((5, 7), (5, 8), 2.0, id="the same event, created later"),
        pytest.param((5, 7), (5, 7), 2.0, id="alike in both times: the last given"),
        pytest.param((5, None), (4, None), 1.0, id="an older event without a created time"),
        pytest.param((5 + 1e-4 / 6, 60), (5, 60), 1.0, id="older by ten microseconds"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_late_event_never_overwrites_a_newer_one(tmp_path, first, second, stays, together):
    told, store = config(tmp_path / "online.db"), BulkSqliteOnlineStore()
    one = row("JFK", first[0], created=first[1], wind=1.0)
    two = row("JFK", second[0], created=second[1], wind=2.0)

    if together:
        store.online_write_batch(told, a_view(), [one, two], None)
    else:
        store.online_write_batch(told, a_view(), [one], None)
        store.online_write_batch(told, a_view(), [two], None)

    assert wind(store, told, "JFK") == [stays]


def test_a_newer_row_without_a_feature_takes_the_older_value_away(tmp_path):
    told, store, view = config(tmp_path / "online.db"), BulkSqliteOnlineStore(), a_view("a", "b")
    store.online_write_batch(told, view, [row("JFK", 0, a=1.0, b=1.0)], None)

    store.online_write_batch(told, view, [row("JFK", 1, a=2.0)], None)

    ((_, values),) = store.online_read(told, view, [key("JFK")])
    assert values == {"a": Value(double_val=2.0)}


def test_what_has_not_happened_yet_is_refused_and_nothing_written(tmp_path):
    told, store = config(tmp_path / "online.db"), BulkSqliteOnlineStore()
    rows = [row("JFK", 0, wind=1.0), row("LGA", 0, created=1441, wind=1.0)]

    with pytest.raises(LeakageError) as error:
        store.online_write_batch(told, a_view(), rows, None)

    assert wind(store, told, "JFK", "LGA") == [None, None]
    assert str(error.value) == (
        "A row of view 'weather' is known only from 2024-05-02T12:01:00+00:00, and now it is "
        "2024-05-02T12:00:00+00:00: the online store never holds the future.\n"
        "  Fix: Write it once it is known; materialize up to a moment that has come."
    )


# reading


def test_of_a_wide_view_only_the_features_asked_for_are_read(tmp_path):
    told, store, view = config(tmp_path / "online.db"), BulkSqliteOnlineStore(), a_view("a", "b")
    store.online_write_batch(told, view, [row("JFK", 0, a=1.0, b=2.0)], None)

    ((at, values),) = store.online_read(told, view, [key("JFK")], ["b"])

    assert values == {"b": Value(double_val=2.0)}
    assert at == NOON


def test_more_entities_are_read_than_a_statement_takes(tmp_path):
    told, store = config(tmp_path / "online.db"), BulkSqliteOnlineStore()
    store.online_write_batch(told, a_view(), [row("LAST", 0, wind=1.0)], None)
    keys = [f"A{i}" for i in range(40_000)]

    assert wind(store, told, *keys, "LAST", "LAST")[-3:] == [None, 1.0, 1.0]


def test_a_view_that_is_not_there_reads_as_unknown(tmp_path):
    told, store = config(tmp_path / "online.db"), BulkSqliteOnlineStore()

    assert wind(store, told, "JFK") == [None]


# both writers, both readers


def as_given(source: pa.Table) -> pa.Table:
    return source


OUR_WEATHER = OurView(
    name="weather",
    entities=(OurEntity(name="airport", column="origin"),),
    source=TableSchema(name="Source", columns=(Column(name="origin", dtype="string"),)),
    features=(Column(name="wind", dtype="float"),),
    compute=as_given,
    owner="plant",
    description="Weather at an airport.",
)


def read_by_us(path: Path, origin: str, minutes: int = 600) -> Any:
    with OnlineReader(path, "headrace", [lookup_of(OUR_WEATHER)]) as reader:
        found = reader.read(0, {"origin": origin}, NOON_US + minutes * 60_000_000)
    return None if found.values is None else (found.values[0], found.event_us - NOON_US)


def push_by_us(path: Path, origin: str, minutes: int, value: float) -> Any:
    at = NOON_US + minutes * 60_000_000
    with OnlineStore(path, "headrace") as store:
        return store.push_rows(OUR_WEATHER, [(origin, at, at, value)])


def test_both_writers_and_both_readers_agree_whoever_wrote(tmp_path):
    path = tmp_path / "online.db"
    told, store = config(path), BulkSqliteOnlineStore()
    store.online_write_batch(told, a_view(), [row("JFK", 5, created=5, wind=1.0)], None)

    older = push_by_us(path, "JFK", 4, 9.0)
    push_by_us(path, "LGA", 4, 2.0)
    late = [row("LGA", 3, created=9, wind=9.0), row("EWR", 1, created=1, wind=3.0)]
    store.online_write_batch(told, a_view(), late, None)

    assert (older.written, older.older) == (0, 1)
    assert wind(store, told, "JFK", "LGA", "EWR") == [1.0, 2.0, 3.0]
    minute = 60_000_000
    by_us = [read_by_us(path, origin) for origin in ("JFK", "LGA", "EWR")]
    assert by_us == [(1.0, 5 * minute), (2.0, 4 * minute), (3.0, minute)]
    assert push_by_us(path, "EWR", 1, 3.0).same == 1  # the same row, the same digest


def test_what_feasts_own_store_wrote_before_is_taken_over_with_its_times(tmp_path):
    path, view = tmp_path / "online.db", a_view()
    stock, told = SqliteOnlineStore(), config(path)
    stock.update(config(path, STOCK), [], [view], [], [], partial=False)
    stock.online_write_batch(config(path, STOCK), view, [row("JFK", 5, wind=1.0)], None)
    store = BulkSqliteOnlineStore()
    before = wind(store, told, "JFK")

    late = [row("JFK", 4, wind=9.0), row("LGA", 4, wind=2.0)]
    store.online_write_batch(told, view, late, None)

    assert before == [1.0]
    assert wind(store, told, "JFK", "LGA") == [1.0, 2.0]
    assert read_by_us(path, "JFK") == (1.0, 5 * 60_000_000)


def test_a_table_that_is_none_of_feasts_is_refused(tmp_path):
    path = tmp_path / "online.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE headrace_weather (origin TEXT)")

    with pytest.raises(DefinitionError) as error:
        BulkSqliteOnlineStore().online_write_batch(
            config(path), a_view(), [row("JFK", 0, wind=1.0)], None
        )

    assert str(error.value) == (
        "The online store has a table 'headrace_weather' that is none of Feast's: it has no column "
        "'entity_key'.\n  Fix: Rename or drop that table, then try again."
    )


# projects and versions


def test_tearing_a_project_down_leaves_the_others_in_the_file(tmp_path):
    path, store = tmp_path / "online.db", BulkSqliteOnlineStore()
    mine, other = config(path), config(path, project="other")
    for told in (mine, other):
        store.online_write_batch(told, a_view(), [row("JFK", 0, wind=1.0)], None)

    store.teardown(mine, [a_view()], [])

    assert wind(store, mine, "JFK") == [None]
    assert wind(store, other, "JFK") == [1.0]
    store.online_write_batch(mine, a_view(), [row("JFK", -5, wind=3.0)], None)
    assert wind(store, mine, "JFK") == [3.0]  # nothing is remembered of what was torn down


def test_a_view_that_feast_deletes_is_forgotten_with_its_facts(tmp_path):
    path, store, told = (
        tmp_path / "online.db",
        BulkSqliteOnlineStore(),
        config(tmp_path / "online.db"),
    )
    store.online_write_batch(told, a_view(), [row("JFK", 5, wind=1.0)], None)

    store.update(told, [a_view()], [a_view(name="other")], [], [], partial=False)

    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "headrace_other" in names
    assert not {"headrace_weather", "headrace_weather.facts"} & names
    store.online_write_batch(told, a_view(), [row("JFK", 1, wind=2.0)], None)
    assert wind(store, told, "JFK") == [2.0]


def test_each_version_of_a_view_has_a_table_of_its_own(tmp_path):
    told, store = config(tmp_path / "online.db"), BulkSqliteOnlineStore()
    store.online_write_batch(told, a_view(number=0), [row("JFK", 5, wind=1.0)], None)

    store.online_write_batch(told, a_view(number=1), [row("JFK", 1, wind=2.0)], None)

    assert len(as_stored(tmp_path / "online.db", "headrace_weather_v1")) == 1
    by_version = [
        store.online_read(told, a_view(number=number), [key("JFK")])[0][1] for number in (0, 1)
    ]
    assert by_version == [{"wind": Value(double_val=1.0)}, {"wind": Value(double_val=2.0)}]


def test_options_that_are_not_written_are_refused():
    with pytest.raises(DefinitionError) as error:
        BulkSqliteOnlineStoreConfig(path="online.db", vector_enabled=True)

    assert str(error.value) == (
        "The online store BulkSqliteOnlineStore has no 'vector_enabled': it writes values and "
        'their texts only.\n  Fix: Leave the option out, or use Feast\'s own `{"type": "sqlite"}`.'
    )


def test_a_store_locked_by_another_writer_is_said(tmp_path):
    path = tmp_path / "online.db"
    told, store = config(path, wait_seconds=0.05), BulkSqliteOnlineStore()
    store.online_write_batch(told, a_view(), [row("JFK", 0, wind=1.0)], None)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as error:
            store.online_write_batch(told, a_view(), [row("JFK", 1, wind=2.0)], None)
        assert wind(store, told, "JFK") == [1.0]

    assert str(error.value) == (
        f"The online store {path} was locked by another writer for more than 0.05 s.\n"
        "  Fix: Let the other one finish, then try again; nothing of this was written."
    )


# Feast's interface, as it is in the version that we are pinned to

INTERFACE = {
    "online_write_batch": "self, config, table, data, progress",
    "online_read": "self, config, table, entity_keys, requested_features",
    "update": "self, config, tables_to_delete, tables_to_keep, entities_to_delete, "
    "entities_to_keep, partial",
    "teardown": "self, config, tables, entities",
    "plan": "self, config, desired_registry_proto",
}
REST = {
    "async_supported", "close", "get_online_features", "get_online_features_async", "initialize",
    "online_read_async", "online_write_batch_async", "read_precomputed_vectors",
    "read_precomputed_vectors_async", "retrieve_online_documents", "retrieve_online_documents_v2",
    "write_precomputed_vector",
}  # fmt: skip


def test_feasts_interface_is_the_one_that_this_store_was_written_for():
    public = {name for name in vars(FeastOnlineStore) if not name.startswith("_")}

    assert feast.__version__ == FEAST_VERSION
    assert public == set(INTERFACE) | REST
    for name, parameters in INTERFACE.items():
        for store in (FeastOnlineStore, SqliteOnlineStore, BulkSqliteOnlineStore):
            assert ", ".join(inspect.signature(getattr(store, name)).parameters) == parameters
    assert set(inspect.signature(SqliteOnlineStore._get_conn).parameters) == {"self", "config"}
    assert SqliteOnlineStore._conn is None


def test_what_no_longer_holds_has_null_values_until_something_newer_is_written(tmp_path):
    path, store = tmp_path / "online.db", BulkSqliteOnlineStore()
    told = config(path)
    store.online_write_batch(
        told, a_view(), [row("JFK", 1, wind=7.0), row("LGA", 1, wind=8.0)], None
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        # as `materialize` says it of what leaves a window
        facts = connection.execute('SELECT max(entity_key) FROM "headrace_weather.facts"')
        connection.execute(
            'UPDATE "headrace_weather.facts" SET until_us = ? WHERE entity_key = ?',
            (NOON_US + 2, facts.fetchone()[0]),
        )

    found = store.online_read(told, a_view(), [key("JFK"), key("LGA")], ["wind"])

    assert [values for _, values in found] == [
        {"wind": Value(double_val=7.0)},
        {"wind": Value()},
    ]
    assert found[1][0] == NOON + timedelta(minutes=1)
    with using_clock(VirtualClock(NOON + timedelta(microseconds=1))):
        assert wind(store, told, "LGA") == [8.0]
    store.online_write_batch(told, a_view(), [row("LGA", 3, wind=9.0)], None)
    assert wind(store, told, "LGA") == [9.0]
