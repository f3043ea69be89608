from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Protocol

import pyarrow as pa
import pytest

from features._published import published, published_views, read_published
from features._versions import number_of, parse_reference, version_of
from features.publish import publish
from features.store import feature_store
from features.view import Entity, FeatureView
from headrace import Col, Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError, StoreError, UnknownNameError
from headrace.settings import using_settings
from operators.compute_features import compute_features

pytestmark = [  # Feast uses what its dependencies have deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
FACTOR = 2.0


class Reading(Schema, Protocol):
    """This is a reading as it came in."""

    sensor: str
    event_time: datetime
    known_time: datetime
    celsius: float


class Temperature(Schema, Protocol):
    """This is what a sensor said."""

    celsius: Annotated[float, Col(unit="°C")]


class Warmth(Schema, Protocol):
    """This is what a sensor said, in another unit."""

    celsius: Annotated[float, Col(unit="K")]


def as_read(source: pa.Table) -> pa.Table:
    return source


def doubled(source: pa.Table) -> pa.Table:
    return source.set_column(
        3, "celsius", pa.array([FACTOR * v.as_py() for v in source["celsius"]])
    )


temperature = FeatureView(
    name="temperature",
    entities=(Entity(name="sensor", column="sensor"),),
    source=Reading,
    features=Temperature,
    compute=as_read,
    owner="plant",
    description="Last temperature of a sensor.",
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON)):
        yield tmp_path


def rows_of(view: FeatureView, celsius: float) -> Table[Reading]:
    source = {"sensor": ["a"], "event_time": [NOON], "known_time": [NOON], "celsius": [celsius]}
    return compute_features(Table.of(pa.table(source)), view=view)


@pytest.mark.parametrize(
    "words",
    [
        {"owner": "somebody else"},
        {"description": "In other words."},
        {"tags": ("indoor",)},
        {"freshness": timedelta(hours=1)},
        {"stage": "deprecated"},
        {"readers": ("heating",)},
    ],
    ids=lambda words: next(iter(words)),
)
def test_words_for_people_make_no_new_version(words):
    assert version_of(replace(temperature, **words)) == version_of(temperature)


@pytest.mark.parametrize(
    "meaning",
    [
        {"ttl": timedelta(hours=6)},
        {"features": Warmth},
        {"compute": doubled},
        {"compute": "SELECT * FROM source"},
        {"entities": (Entity(name="probe", column="sensor"),)},
    ],
    ids=lambda meaning: next(iter(meaning)),
)
def test_what_changes_the_meaning_of_a_value_makes_a_new_version(meaning):
    assert version_of(replace(temperature, **meaning)) != version_of(temperature)


def test_a_constant_that_the_code_reads_belongs_to_the_version(monkeypatch):
    before = version_of(replace(temperature, compute=doubled))
    code = doubled.__code__  # a function of its own: what was worked out for one is remembered
    again = type(doubled)(code, doubled.__globals__, "doubled")
    monkeypatch.setitem(doubled.__globals__, "FACTOR", 3.0)

    assert version_of(replace(temperature, compute=again)) != before


def test_versions_are_numbered_as_feast_numbers_them(home):
    changed = replace(temperature, ttl=timedelta(hours=6))
    numbers = []
    for view in (temperature, replace(temperature, owner="x"), changed, temperature):
        report = publish(rows_of(view, 20.0), view=view)
        feast = feature_store().get_feature_view("temperature")
        numbers.append((report.document["number"], feast.current_version_number or 0))

    assert numbers == [(0, 0), (0, 0), (1, 1), (2, 2)]


def test_a_number_that_was_claimed_and_never_published_stays_free_in_feast(home):
    publish(rows_of(temperature, 20.0), view=temperature)
    number_of(replace(temperature, ttl=timedelta(hours=6)))
    last = replace(temperature, ttl=timedelta(hours=7))

    for view in (last, replace(last, owner="x")):
        publish(rows_of(view, 20.0), view=view)

    assert feature_store().get_feature_view("temperature").current_version_number == 2
    found = published("temperature")
    assert found is not None
    assert (found.number, found.definition["owner"]) == (2, "x")


def test_an_earlier_version_is_read_as_it_was_and_newer_rows_of_it_are_seen(home):
    colder = replace(temperature, compute=doubled)
    publish(rows_of(temperature, 20.0), view=temperature)
    publish(rows_of(temperature, 21.0), view=temperature)
    publish(rows_of(colder, 22.0), view=colder)

    assert read_published("temperature@v0")["celsius"].to_pylist() == [21.0]
    assert read_published("temperature")["celsius"].to_pylist() == [44.0]
    assert read_published("temperature@v1", ["sensor"]).column_names == ["sensor"]
    assert [p.number for p in published_views()] == [1]
    joined = feature_store().get_historical_features(
        entity_df=pa.table({"sensor": ["a"], "event_timestamp": [NOON]}).to_pandas(),
        features=["temperature@v0:celsius"],
    )
    assert joined.to_df()["celsius"].tolist() == [21.0]


def test_a_version_that_was_never_published_is_named_with_those_that_were(home):
    publish(rows_of(temperature, 20.0), view=temperature)

    with pytest.raises(UnknownNameError) as error:
        published("temperature@v3")

    assert str(error.value) == (
        "View 'temperature' has no published version v3; it has v0.\n"
        "  Fix: Name one of its versions, or none for the current one."
    )


def test_reading_what_is_not_published_says_so(home):
    with pytest.raises(StoreError) as error:
        read_published("temperature")

    assert str(error.value) == (
        "Nothing is published of view 'temperature'.\n  Fix: Run the flow that publishes it."
    )


@pytest.mark.parametrize("text", ["Temperature", "temperature@2", "temperature@v", "a:b", ""])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(DataError) as error:
        parse_reference(text)

    assert str(error.value) == (
        f"'{text}' is no reference to a feature view.\n"
        "  Fix: Write the view's name, such as 'airport_weather', or 'airport_weather@v0' for one "
        "of its versions."
    )


def claim(folder: Path, hours: int) -> None:
    with using_settings(home=folder):
        number_of(replace(temperature, name=f"view_{hours}", ttl=timedelta(hours=hours)))


def test_processes_that_number_at_once_lose_no_number(home):
    context = multiprocessing.get_context("fork")
    claims = [context.Process(target=claim, args=(home, hours)) for hours in range(1, 9)]
    for each in claims:
        each.start()
    for each in claims:
        each.join()

    views = [replace(temperature, name=f"view_{h}", ttl=timedelta(hours=h)) for h in range(1, 9)]
    assert [number_of(view) for view in views] == [0] * 8
    assert (home / "features" / "versions.json").read_text().count("view_") == 8


def test_numbers_that_cannot_be_read_are_not_given_anew(home):
    number_of(temperature)
    file = home / "features" / "versions.json"
    file.write_text("{")

    with pytest.raises(StoreError) as error:
        number_of(temperature)

    assert str(error.value) == (
        f"The version numbers of feature views cannot be read: {file}.\n"
        "  Fix: Restore the file from a backup; without it versions would be numbered anew."
    )
