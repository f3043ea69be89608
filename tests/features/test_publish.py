from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typeguard

from features._published import version_of
from features.join import Facts, join_as_known
from features.publish import publish
from features.store import feature_store, published, types_unchecked
from features.view import Entity, FeatureView
from headrace import Col, Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import BoundaryError, DataError, StoreError
from headrace.promise import call_of
from headrace.settings import inherited_environment, using_settings
from operators.compute_features import compute_features

# Feast and the ibis beneath it use what their dependencies have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Reading(Schema, Protocol):
    """This is a reading as it came in."""

    sensor: str
    event_time: datetime
    known_time: datetime
    celsius: float | None
    state: Annotated[str | None, Col()]


class Temperature(Schema, Protocol):
    """This is what a sensor said."""

    celsius: Annotated[float, Col(unit="°C", sensitivity="public", description="Reading.")]
    state: Annotated[str, Col(description="What it said of itself.")]


def as_read(readings: pa.Table) -> pa.Table:
    return readings


temperature = FeatureView(
    name="temperature",
    entities=(Entity(name="sensor", column="sensor", description="A sensor."),),
    source=Reading,
    features=Temperature,
    compute=as_read,
    owner="plant",
    description="Last temperature of a sensor.",
    ttl=timedelta(hours=6),
    tags=("indoor",),
)


def hours(*values: float) -> pa.Array:
    return pa.array([NOON + timedelta(hours=v) for v in values], pa.timestamp("us", tz="UTC"))


def computed(*celsius: float, known: tuple[float, ...] = (1, 1, 4, 8)) -> Table[Any]:
    """Readings of two sensors; the third row corrects the first, three hours later."""
    source = {
        "sensor": ["a", "b", "a", "a"],
        "event_time": hours(0, 0, 0, 7),
        "known_time": hours(*known),
        "celsius": list(celsius),
        "state": ["ok", None, "ok", "ok"],
    }
    return compute_features(Table.of(pa.table(source)), view=temperature)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield tmp_path


def test_feasts_own_sdk_lists_the_view_and_reads_the_values_of_our_join(home):
    rows = computed(20.0, 30.0, 21.0, 22.0)
    before = inherited_environment()

    publish(rows, view=temperature)

    assert inherited_environment() == before  # Feast's import alone would change it
    feast = feature_store()
    view = feast.get_feature_view("temperature")
    assert [v.name for v in feast.list_feature_views()] == ["temperature"]
    assert [(e.name, e.join_key) for e in feast.list_entities()] == [("sensor", "sensor")]
    assert (view.owner, view.ttl, view.description) == (
        "plant",
        timedelta(hours=6),
        "Last temperature of a sensor.",
    )
    assert view.tags["digest"] == rows.digest
    assert view.tags["indoor"] == "true"
    version = {"version": version_of(temperature)}
    assert {f.name: f.tags for f in view.features} == {
        "celsius": {"sensitivity": "public", "unit": "°C", **version},
        "state": {"sensitivity": "internal", **version},
    }

    spine = pa.table(
        {
            "sensor": ["a", "b", "a", "a", "b", "c", "a"],
            "event_timestamp": hours(0.5, 2, 2, 5, 7, 2, 9),
            "row": range(7),
        }
    )
    ours = join_as_known(
        spine,
        [Facts(rows=rows.arrow(), keys=("sensor",), expires="expires_at")],
        at="event_timestamp",
    )
    theirs = (
        feast.get_historical_features(
            entity_df=spine.to_pandas(),
            features=feast.get_feature_service("temperature"),
            filter_by_created_timestamp=True,
        )
        .to_arrow()
        .sort_by("row")
    )
    assert ours["celsius"].to_pylist() == [None, 30.0, 20.0, 21.0, None, None, 22.0]
    assert theirs["celsius"].to_pylist() == ours["celsius"].to_pylist()
    assert theirs["state"].to_pylist() == ours["state"].to_pylist()


def test_publishing_the_same_rows_again_changes_nothing(home):
    rows = computed(20.0, 30.0, 21.0, 22.0)
    first = publish(rows, view=temperature).document
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*") if p.is_file()}

    with using_clock(VirtualClock(NOON + timedelta(days=2))):
        second = publish(rows, view=temperature).document

    assert first["changed"] is True
    assert second == first | {"changed": False}
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*") if p.is_file()} == before


def test_new_rows_take_the_place_of_the_old_ones(home):
    publish(computed(20.0, 30.0, 21.0, 22.0), view=temperature)
    newer = computed(20.0, 30.0, 21.0, 25.0)

    report = publish(newer, view=temperature).document

    source = feature_store().get_feature_view("temperature").batch_source
    assert source.path == "temperature/v0.parquet"
    assert pq.read_table(home / "features" / source.path)["celsius"].to_pylist() == [
        20.0,
        30.0,
        21.0,
        25.0,
    ]
    assert report["changed"] is True


def test_the_report_says_how_fresh_the_view_is(home):
    rows = computed(20.0, 30.0, 21.0, 22.0)

    report = publish(rows, view=temperature).document

    assert report == {
        "passed": True,
        "changed": True,
        "view": "temperature",
        "digest": rows.digest,
        "version": report["version"],
        "number": 0,
        "rows": 4,
        "file": f"{rows.digest}.parquet",
        "newest_event": "2024-05-01T19:00:00+00:00",
        "newest_known": "2024-05-01T20:00:00+00:00",
        "published_at": "2024-05-02T12:00:00+00:00",
    }


def test_what_is_missing_on_disk_is_published_again(home):
    rows = computed(20.0, 30.0, 21.0, 22.0)
    publish(rows, view=temperature)
    file = home / "features" / "temperature" / f"{rows.digest}.parquet"
    file.unlink()

    report = publish(rows, view=temperature).document

    assert report["changed"] is True
    assert file.is_file()


def test_asking_what_is_published_imports_no_feast(home):
    rows = computed(20.0, 30.0, 21.0, 22.0)
    publish(rows, view=temperature)
    code = (
        "import sys; from features.store import published; import features.publish;"
        "assert published('temperature').rows == 4; assert published('other') is None;"
        "assert not {'feast', 'pandas', 'duckdb', 'sqlalchemy'} & set(sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited_environment() | {"HEADRACE_HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


def test_what_feast_would_compile_to_check_types_is_left_as_it_is_while_it_is_imported():
    checked = typeguard.typechecked

    with types_unchecked():
        plain, called = typeguard.typechecked(computed), typeguard.typechecked()(computed)

    assert (plain, called) == (computed, computed)
    assert typeguard.typechecked is checked


def test_two_threads_that_import_at_once_leave_type_checks_as_they_were():
    checked, both, ends = typeguard.typechecked, threading.Barrier(2), threading.Event()

    def second() -> None:
        both.wait()
        with types_unchecked():
            ends.wait(10)

    thread = threading.Thread(target=second)
    thread.start()
    with types_unchecked():
        both.wait()
        thread.join(0.05)
    ends.set()
    thread.join()

    assert typeguard.typechecked is checked


def test_a_view_without_rows_is_not_published(home):
    empty = Table.of(computed(1.0, 2.0, 3.0, 4.0).arrow().slice(0, 0), schema=temperature.schema)

    with pytest.raises(DataError) as error:
        publish(empty, view=temperature)

    assert str(error.value) == (
        "View 'temperature' has no rows to publish.\n"
        "  Fix: Look at its source; what is published already stays as it is."
    )


def test_rows_of_another_view_are_refused_and_nothing_is_written(home):
    other = Table.of({"sensor": ["a"], "celsius": [20.0]})

    with pytest.raises(BoundaryError):
        publish(other, view=temperature)

    assert published("temperature") is None
    assert not list(home.rglob("*.parquet"))


def test_the_plan_names_the_columns_that_the_rows_lack():
    other = Table.of({"sensor": ["a"], "celcius": [20.0], "state": ["ok"]})
    call = call_of(publish, publish.signature.bind((other,), {"view": temperature}))

    assert publish.options.check is not None
    found = publish.options.check(call)

    assert [f.problem for f in found] == [
        "The rows to publish have no column 'event_time', which view 'temperature' has. "
        "Known: 'celcius', 'sensor', 'state'.",
        "The rows to publish have no column 'known_time', which view 'temperature' has. "
        "Known: 'celcius', 'sensor', 'state'.",
        "The rows to publish have no column 'expires_at', which view 'temperature' has. "
        "Known: 'celcius', 'sensor', 'state'.",
        "The rows to publish have no column 'celsius', which view 'temperature' has. "
        "Did you mean 'celcius'?",
    ]


def test_a_record_that_cannot_be_read_is_named(home):
    record = home / "features" / "temperature" / "published.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")

    with pytest.raises(StoreError) as error:
        published("temperature")

    assert str(error.value) == (
        f"The record of what is published of view 'temperature' cannot be read: {record}.\n"
        "  Fix: Remove the file and publish the view again."
    )
