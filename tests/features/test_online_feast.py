"""What we write online is what Feast writes, byte by byte, and Feast's own SDK reads it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features._feast_objects import feast_objects
from features._online_decode import DECODERS
from features._online_encode import ENCODERS
from features._online_tables import LIVE
from features._online_times import feast_seconds
from features.online import OnlineStore, online_file
from features.online_lookup import lookup_of
from features.online_reader import OnlineReader
from features.publish import publish
from features.store import PROJECT, feature_store
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

# Feast and the ibis beneath it use what their dependencies have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    # Feast leaves its connections to the end of the process
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
US = pa.timestamp("us", tz="UTC")


def as_given(source: pa.Table) -> pa.Table:
    return source


# one feature of every type, about an entity of two columns that Feast sorts the other way round
everything = FeatureView(
    name="everything",
    entities=(
        Entity(name="tail", column="tail"),
        Entity(name="leg", column="leg", dtype="int"),
    ),
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
)


def rows(**changes: Any) -> pa.Table:
    columns = {
        "tail": pa.array(["N14", "Ñ9", "", "N15"]),
        "leg": pa.array([1, -2, 1 << 40, 0], pa.int64()),
        "event_time": pa.array(
            [NOON, NOON - timedelta(microseconds=5), NOON, datetime(1969, 7, 20, tzinfo=UTC)], US
        ),
        "known_time": pa.array([NOON, NOON, NOON + timedelta(minutes=3), NOON], US),
        "is_late": pa.array([True, False, None, True]),
        "seats": pa.array([-5, 300, 0, 1 << 40], pa.int64()),
        "delay": pa.array([1.1, 0.0, None, float("-inf")]),
        "gate": pa.array(["é", "", None, "x" * 200]),
        "maker": pa.array(["A", "B", None, "A"]).dictionary_encode(),
        "built": pa.array([NOON, NOON, None, datetime(1960, 1, 1, tzinfo=UTC)], US),
        "serviced": pa.array([date(2024, 5, 1), date(1960, 2, 29), None, date(1970, 1, 1)]),
    }
    return pa.table(columns | changes)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield tmp_path


def as_stored(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        columns = "entity_key, feature_name, value, value_text, vector_value, event_ts, created_ts"
        found = connection.execute(
            f"SELECT {columns}, typeof(event_ts), typeof(created_ts) "  # noqa: S608
            f"FROM {PROJECT}_everything ORDER BY entity_key, feature_name"
        )
        return found.fetchall()


def definition(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (f"{PROJECT}_everything",)
        )
        return str(found.fetchone()[0])


def written_by_feast(table: pa.Table, home: Path) -> Path:
    """Let Feast's own SQLite store make the table and write rows of the view into it."""
    from feast import FeatureView as FeastView
    from feast import RepoConfig
    from feast.infra.online_stores.sqlite import SqliteOnlineStore
    from feast.utils import _convert_arrow_to_proto
    from feast.value_type import ValueType

    objects = feast_objects(everything, file="rows.parquet", version="v", tags={})
    registered = next(each for each in objects if isinstance(each, FeastView))
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        repo_path=home,
        registry={"registry_type": "sql", "path": f"sqlite:///{home / 'registry.db'}"},
        online_store={"type": "sqlite", "path": str(online_file())},
        entity_key_serialization_version=3,
    )
    plain = table.set_column(8, "maker", table["maker"].cast(pa.string()))
    plain = plain.set_column(10, "serviced", plain["serviced"].cast(US))
    keys = {"tail": ValueType.STRING, "leg": ValueType.INT64}
    store = SqliteOnlineStore()
    store.update(config, [], [registered], [], [], partial=False)
    store.online_write_batch(
        config, registered, _convert_arrow_to_proto(plain, registered, keys), None
    )
    return online_file()


def test_table_keys_values_and_times_are_byte_by_byte_what_feast_writes(home, tmp_path_factory):
    theirs = written_by_feast(rows(), home)
    ours = tmp_path_factory.mktemp("ours") / "online.db"

    with OnlineStore(ours, PROJECT) as store:
        pushed = store.push(everything, rows())

    assert pushed.written == 4
    assert as_stored(ours) == as_stored(theirs)
    assert len(as_stored(ours)) == 4 * 7
    assert definition(ours) == definition(theirs)


def test_we_write_into_a_table_that_feast_made_and_read_it(home):
    path = written_by_feast(rows(), home)
    key = {"tail": "N14", "leg": 1}
    at_us = NOON_US + 3_600_000_000
    reader = OnlineReader(path, PROJECT, [lookup_of(everything, ["seats"])])
    before = reader.read(0, key, at_us)

    with OnlineStore(path, PROJECT) as store:
        store.push(everything, rows(seats=pa.array([7, 8, 9, None], pa.int64())))

    assert before.values == [-5]
    assert reader.read(0, key, at_us).values == [7]
    reader.close()


def test_feasts_sdk_reads_what_we_wrote_for_the_live_space(home):
    publish(Table.of(rows(), schema=everything.schema), view=everything)
    with OnlineStore(online_file(), LIVE) as store:
        store.push(everything, rows())

    feast = feature_store()
    names = [c.name for c in everything.columns]
    theirs = feast.get_online_features(
        [f"everything:{name}" for name in names],
        [{"tail": "N14", "leg": 1}, {"tail": "", "leg": 1 << 40}, {"tail": "N14", "leg": 2}],
    ).to_dict()

    assert {name: theirs[name] for name in names} == {
        "is_late": [True, None, None],
        "seats": [-5, 0, None],
        "delay": [1.1, None, None],
        "gate": ["é", None, None],
        "maker": ["A", None, None],
        "built": [NOON, None, None],
        "serviced": [datetime(2024, 5, 1, tzinfo=UTC), None, None],
    }
    at_us = NOON_US + 3_600_000_000
    with OnlineReader(online_file(), LIVE, [lookup_of(everything, names)]) as reader:
        ours = reader.read(0, {"leg": 1, "tail": "N14"}, at_us)
    assert ours.values == [True, -5, 1.1, "é", "A", NOON, date(2024, 5, 1)]


def test_the_live_space_is_feasts_project():
    assert LIVE == PROJECT


VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "float": ("double_val", st.floats(allow_nan=False)),
    "int": ("int64_val", st.integers(-(1 << 63), (1 << 63) - 1)),
    "bool": ("bool_val", st.booleans()),
    "string": ("string_val", st.text(max_size=300)),
    "category": ("string_val", st.text(max_size=300)),
    "timestamp": ("unix_timestamp_val", st.integers(-(1 << 33), 1 << 34)),
    "date": ("unix_timestamp_val", st.integers(-20_000, 40_000).map(lambda day: day * 86_400)),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(VALUES)).flatmap(lambda d: st.tuples(st.just(d), VALUES[d][1])))
def test_a_value_has_the_bytes_of_feasts_message_and_is_read_back(drawn):
    from feast.infra.online_stores.helpers import extract_text_and_num
    from feast.protos.feast.types.Value_pb2 import Value

    dtype, value = drawn
    message = Value(**{VALUES[dtype][0]: value})
    given_value = {
        "timestamp": lambda: value * 1_000_000,
        "date": lambda: date(1970, 1, 1) + timedelta(seconds=value),
    }.get(dtype, lambda: value)()

    blob, text = ENCODERS[dtype](given_value)

    assert blob == message.SerializeToString()
    assert text == extract_text_and_num(message, False)[0]
    expected = (
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        if dtype == "timestamp"
        else given_value
    )
    assert DECODERS[dtype][blob[0]](blob) == expected


@pytest.mark.parametrize(
    ("dtype", "field", "value", "read"),
    [
        pytest.param("float", "float_val", 0.5, 0.5, id="a float of 32 bits"),
        pytest.param("float", "int64_val", -3, -3.0, id="an integer where a real is wanted"),
        pytest.param("int", "int32_val", -3, -3, id="an integer of 32 bits"),
        pytest.param("bytes", "bytes_val", b"\0" * 200, b"\0" * 200, id="bytes"),
    ],
)
def test_other_scalars_of_feasts_are_read_too(dtype, field, value, read):
    from feast.protos.feast.types.Value_pb2 import Value

    blob = Value(**{field: value}).SerializeToString()

    assert DECODERS[dtype][blob[0]](blob) == read


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("instant", [NOON_US, NOON_US - 1, -1, 1_704_067_200_999_999])
def test_times_are_feasts_whole_seconds_on_a_machine_in_any_zone(zone, instant, monkeypatch):
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch
    from feast.utils import to_naive_utc

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        ours = feast_seconds(instant)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
        theirs = adapt_datetime_epoch(to_naive_utc(moment))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert ours == theirs
