"""Feast's registry and online store on PostgreSQL, as our settings tell Feast of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.online_read import read_online
from features.publish import publish
from features.store import feature_store
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import StoreError, UnknownNameError
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


def as_given(source: pa.Table) -> pa.Table:
    return source


weather = FeatureView(
    name="weather",
    entities=(Entity(name="airport", column="origin"),),
    source=TableSchema(name="Source", columns=(Column(name="origin", dtype="string"),)),
    features=(
        Column(name="wind", dtype="float"),
        Column(name="gusts", dtype="int"),
        Column(name="sky", dtype="category"),
        Column(name="opened", dtype="date"),
    ),
    compute=as_given,
    owner="plant",
    description="Weather at an airport.",
    ttl=timedelta(hours=6),
)


def rows() -> pa.Table:
    events = [NOON, NOON - timedelta(hours=8), NOON - timedelta(hours=1)]
    return pa.table(
        {
            "origin": ["JFK", "LGA", "EWR"],
            "event_time": pa.array(events, US),
            "known_time": pa.array(events, US),
            "expires_at": pa.array([e + timedelta(hours=6) for e in events], US),
            "wind": [7.5, 1.0, None],
            "gusts": pa.array([3, 4, None], pa.int64()),
            "sky": pa.array(["clear", "fog", None]).dictionary_encode(),
            "opened": pa.array([datetime(1948, 7, 1).date()] * 3, pa.date32()),
        }
    )


@pytest.fixture
def home(tmp_path: Path, postgres_url: str) -> Iterator[str]:
    with (
        using_settings(
            home=tmp_path, features_registry_url=postgres_url, features_online_url=postgres_url
        ),
        using_clock(VirtualClock(NOON + timedelta(hours=1))),
    ):
        yield postgres_url


def write(table: pa.Table) -> None:
    feature_store().write_to_online_store("weather", table.to_pandas())


def prepared() -> pa.Table:
    table = rows().drop_columns(["expires_at"])
    table = table.set_column(5, "sky", table["sky"].cast(pa.string()))
    return table.set_column(6, "opened", table["opened"].cast(US))


def test_a_view_is_published_into_a_registry_on_postgresql(home, tmp_path):
    import psycopg

    publish(Table.of(rows(), schema=weather.schema), view=weather)

    assert [view.name for view in feature_store().list_feature_views()] == ["weather"]
    assert not (tmp_path / "features" / "registry.db").exists()
    with psycopg.connect(home) as connection:
        found = connection.execute("SELECT feature_view_name FROM feature_views").fetchall()
    assert found == [("weather",)]


def test_features_on_postgresql_are_read_through_feast_with_ttl_and_types(home):
    publish(Table.of(rows(), schema=weather.schema), view=weather)
    write(prepared())

    found = read_online("weather", {"origin": ["JFK", "LGA", "EWR", "?", None]})

    assert found.to_dict() == {
        "origin": ["JFK", "LGA", "EWR", "?", None],
        "wind": [7.5, None, None, None, None],
        "gusts": [3, None, None, None, None],
        "sky": ["clear", None, None, None, None],
        "opened": [
            datetime(1948, 7, 1).date(),
            None,
            datetime(1948, 7, 1).date(),
            None,
            None,
        ],
    }
    assert found.statuses["wind"] == ["present", "expired", "null", "unknown", "unknown"]


def test_feast_is_asked_for_what_it_does_not_know(home):
    publish(Table.of(rows(), schema=weather.schema), view=weather)

    with pytest.raises(UnknownNameError) as error:
        read_online("wether", {"origin": ["JFK"]})
    with pytest.raises(UnknownNameError) as column:
        read_online("weather:winds", {"origin": ["JFK"]})

    assert "Did you mean 'weather'?" in str(error.value)
    assert "Did you mean 'wind'?" in str(column.value)


def test_a_postgresql_that_is_gone_is_a_store_error(home, postgres_server):
    publish(Table.of(rows(), schema=weather.schema), view=weather)
    write(prepared())
    from features.online_read import OnlineFeatures

    features = OnlineFeatures("weather")
    assert features.read({"origin": ["JFK"]}).features["wind"] == [7.5]

    postgres_server.stop()
    try:
        with pytest.raises(StoreError) as error:
            features.read({"origin": ["JFK"]})
    finally:
        postgres_server.start()

    assert str(error.value).startswith("Feast could not read 'weather' online: ")
