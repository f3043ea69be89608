"""Materializing where the settings say Redis, or PostgreSQL, which Feast itself fills."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features._online_place import open_reader
from features.materialize import materialize, materialize_published
from features.online import online_file
from features.online_lookup import lookup_of
from features.online_read import read_online
from features.publish import publish
from features.view import Entity, FeatureView
from flows._command.main import app
from headrace import Report, Table, flow, operator
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DefinitionError, StoreError
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
US = pa.timestamp("us", tz="UTC")
ADDRESS = "postgresql://headrace:secret@127.0.0.1:1/features"  # nobody is asked there
FULL = (
    "View 'weather' cannot be materialized: the setting 'features_online_url' says PostgreSQL, "
    "whose tables Feast itself writes."
)
FEAST_DOES = (
    "Let Feast do it, with features.store.feature_store().materialize(start_date, end_date, "
    "feature_views=['weather']), or set 'features_online_url' to Redis."
)


def as_given(source: pa.Table) -> pa.Table:
    return source


weather = FeatureView(
    name="weather",
    entities=(Entity(name="airport", column="origin"),),
    source=TableSchema(name="Source", columns=(Column(name="origin", dtype="string"),)),
    features=(Column(name="wind", dtype="float"),),
    compute=as_given,
    owner="plant",
    description="Weather at an airport.",
)


def rows(*of: tuple[str, float, float]) -> Table[Any]:
    """Rows: airport, hour after noon, wind."""
    times = pa.array([NOON + timedelta(hours=hour) for _, hour, _ in of], US)
    columns = {
        "origin": [origin for origin, _, _ in of],
        "event_time": times,
        "known_time": times,
        "wind": [wind for _, _, wind in of],
    }
    return Table.of(pa.table(columns), schema=weather.schema)


FIRST = (("JFK", -2, 7.0), ("JFK", -1, 8.0), ("LGA", -1, 3.0), ("EWR", 5, 9.0))


def winds(*origins: str) -> list[Any]:
    return read_online("weather:wind", {"origin": list(origins)}).features["wind"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield tmp_path


@pytest.fixture
def redis(redis_url: str) -> Iterator[str]:
    with using_settings(features_online_url=redis_url):
        yield redis_url


def test_the_operator_writes_the_newest_known_rows_into_redis_and_again_changes_nothing(redis):
    publish(rows(*FIRST), view=weather)

    first, again = (materialize(rows(*FIRST), view=weather, until=NOON) for _ in range(2))

    assert first.document == {
        "passed": True,
        "changed": True,
        "view": "weather",
        "space": "headrace",
        "until": "2024-05-01T12:00:00+00:00",
        "rows": 3,
        "entities": 2,
        "written": 2,
        "older": 0,
        "same": 0,
        "number": 0,
        "since": None,
        "resumed": False,
    }
    assert again.document == first.document | {"changed": False, "written": 0, "same": 2}
    assert winds("JFK", "LGA", "EWR") == [8.0, 3.0, None]
    assert not online_file().exists()


def test_what_is_published_is_brought_into_redis_by_call_and_by_command(redis):
    publish(rows(*FIRST), view=weather)
    done = materialize_published("weather", until=NOON)
    after = winds("JFK", "EWR")

    told = CliRunner().invoke(app, ["features", "materialize", "weather", "--json"])
    known = json.loads(told.stdout)
    said = CliRunner().invoke(app, ["features", "materialize", "weather@v0", "--full"])

    assert ((done.written, done.changed), after) == ((2, True), [8.0, None])
    assert (known["rows"], known["written"], known["same"], known["older"]) == (4, 1, 2, 0)
    assert winds("JFK", "EWR") == [8.0, 9.0]
    assert said.output == (
        "weather v0 was online already: 3 entities, 0 written, 3 the same, 0 newer there.\n"
    )


def test_a_new_version_lies_beside_the_old_one_in_redis(redis):
    wider = replace(weather, ttl=timedelta(days=2))
    materialize(rows(*FIRST), view=weather)

    table = rows(*FIRST).arrow()
    expires = pa.array([NOON + timedelta(days=2)] * len(FIRST), US)
    second = materialize(
        Table.of(table.append_column("expires_at", expires), schema=wider.schema), view=wider
    )

    assert (second.document["number"], second.document["written"]) == (1, 3)
    lookups = [lookup_of(weather, number=0), lookup_of(wider, number=1)]
    reader = open_reader("headrace", lookups)
    assert reader is not None
    at_us = 1_714_564_800_000_000 + 6 * 3_600_000_000
    assert [reader.read(i, {"origin": "EWR"}, at_us).values for i in (0, 1)] == [[9.0], [9.0]]
    reader.close()


def test_the_space_of_a_replay_lies_in_sqlite_whatever_is_set(redis):
    report = materialize(rows(*FIRST), view=weather, space="replay")

    reader = open_reader("replay", [lookup_of(weather)])
    assert reader is not None
    found = reader.read(0, {"origin": "EWR"}, 1_714_564_800_000_000 + 6 * 3_600_000_000)
    reader.close()
    assert (report.document["space"], found.values) == ("replay", [9.0])
    assert online_file().exists()


def test_a_redis_that_does_not_answer_is_told_and_the_same_again_goes_on(redis, redis_server):
    redis_server.stop()
    try:
        with pytest.raises(StoreError) as error:
            materialize(rows(*FIRST), view=weather)
    finally:
        redis_server.start()

    assert error.value.remedy == (
        "Start it, or correct the setting 'features_online_url'; then try again."
    )
    assert materialize(rows(*FIRST), view=weather).document["written"] == 3


@operator()
def measured() -> Table[Any]:
    """Measure the weather."""
    return rows(*FIRST)


@flow
def bring_online() -> Report:
    """Materialize what is measured."""
    return materialize(measured(), view=weather)


def test_where_only_feast_writes_each_way_of_materializing_says_so():
    publish(rows(*FIRST), view=weather)

    with using_settings(features_online_url=ADDRESS):
        with pytest.raises(DefinitionError) as operator_says:
            materialize(rows(*FIRST), view=weather)
        with pytest.raises(DefinitionError) as call_says:
            materialize_published("weather")
        planned = [(p.rule, p.problem, p.remedy) for p in bring_online.plan().problems]
        command_says = CliRunner().invoke(app, ["features", "materialize", "weather"])
        replay = materialize(rows(*FIRST), view=weather, space="replay")

    for error in (operator_says.value, call_says.value):
        assert (error.problem, error.remedy) == (FULL, FEAST_DOES)
    assert planned == [("online store", f"'materialize:weather': {FULL}", FEAST_DOES)]
    assert (type(command_says.exception), command_says.exit_code != 0) == (DefinitionError, True)
    assert replay.document["written"] == 3


def test_and_what_it_says_to_do_does_it(postgres_url, tmp_path):
    from features.store import feature_store

    with using_settings(features_online_url=postgres_url, features_registry_url=postgres_url):
        publish(rows(*FIRST), view=weather)
        feature_store().materialize(
            NOON - timedelta(days=1), NOON + timedelta(hours=8), feature_views=["weather"]
        )
        assert winds("JFK", "LGA", "EWR", "?") == [8.0, 3.0, 9.0, None]
