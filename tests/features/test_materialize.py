"""The operator that brings the online store up to date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.airport_weather import airport_weather
from features.materialize import materialize
from features.online import OnlineStore, online_file
from features.online_lookup import lookup_of
from features.online_reader import OnlineReader
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import BoundaryError, DataError, LeakageError, ParameterError
from headrace.promise import call_of
from headrace.settings import using_settings

US = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(hours=5))):
        yield tmp_path


def observed(*rows: tuple[str, float, float, float]) -> Table[Any]:
    """Observations: airport, hour of the event, hour from which it was known, temperature."""
    at = [[NOON + timedelta(hours=row[i]) for row in rows] for i in (1, 2)]
    temperatures = pa.array([row[3] for row in rows], pa.float64())
    return Table.of(
        pa.table(
            {
                "origin": pa.array([row[0] for row in rows], pa.string()),
                "event_time": pa.array(at[0], US),
                "known_time": pa.array(at[1], US),
                "expires_at": pa.array([t + timedelta(hours=6) for t in at[0]], US),
                **{c.name: temperatures for c in airport_weather.columns},
            }
        ),
        schema=airport_weather.schema,
    )


def temperature(origin: str, *, hour: float = 5, space: str = "headrace") -> Any:
    with OnlineReader(online_file(), space, [lookup_of(airport_weather, ["temp"])]) as reader:
        found = reader.read(0, {"origin": origin}, NOON_US + int(hour * HOUR))
    return None if found.values is None else found.values[0]


ROWS = (
    ("JFK", 0, 1, 60.0),
    ("JFK", 2, 3, 62.0),
    ("JFK", 1, 4, 61.0),  # late, about an older hour
    ("LGA", 0, 1, 50.0),
    ("LGA", 0, 2, 51.0),  # corrected
    ("EWR", 4, 6, 40.0),  # not known yet
)


def test_each_entity_gets_its_newest_event_among_the_rows_known_by_now():
    report = materialize(observed(*ROWS), view=airport_weather)

    assert report.document == {
        "passed": True,
        "changed": True,
        "view": "airport_weather",
        "space": "headrace",
        "until": "2024-05-01T17:00:00+00:00",
        "rows": 5,
        "entities": 2,
        "written": 2,
        "older": 0,
        "same": 0,
        "number": 0,
        "since": None,
        "resumed": False,
    }
    assert [temperature(origin) for origin in ("JFK", "LGA", "EWR")] == [62.0, 51.0, None]


def test_a_row_not_known_at_the_moment_is_never_written():
    report = materialize(
        observed(*ROWS), view="airport_weather", until=NOON + timedelta(hours=1), space="replay"
    )

    assert report.document["rows"] == 2
    at_one = [temperature(o, hour=1, space="replay") for o in ("JFK", "LGA", "EWR")]
    assert at_one == [60.0, 50.0, None]
    assert temperature("JFK") is None


def test_the_same_again_changes_nothing():
    materialize(observed(*ROWS), view=airport_weather)

    report = materialize(observed(*ROWS), view=airport_weather)

    assert (report.document["changed"], report.document["same"]) == (False, 2)


def test_a_newer_event_that_was_pushed_stays():
    newer = ("JFK", NOON_US + 4 * HOUR, NOON_US + 4 * HOUR, *[70.0] * 7)
    with OnlineStore(online_file(), "headrace") as store:
        store.push_rows(airport_weather, [newer])

    report = materialize(observed(*ROWS), view=airport_weather)

    assert (report.document["written"], report.document["older"]) == (1, 1)
    assert temperature("JFK") == 70.0


def test_corrected_code_corrects_what_is_online():
    materialize(observed(*ROWS), view=airport_weather)

    report = materialize(observed(("JFK", 2, 3, 63.0), *ROWS[3:]), view=airport_weather)

    assert (report.document["written"], report.document["same"]) == (1, 1)
    assert temperature("JFK") == 63.0


def test_before_anything_was_known_nothing_is_written():
    report = materialize(observed(*ROWS), view=airport_weather, until=NOON)

    assert (report.document["changed"], report.document["entities"]) == (False, 0)
    assert temperature("JFK") is None


def test_rows_known_only_in_the_future_are_refused():
    with pytest.raises(LeakageError) as error:
        materialize(observed(*ROWS), view=airport_weather, until=NOON + timedelta(hours=9))

    assert temperature("JFK") is None
    assert str(error.value) == (
        "A row of view 'airport_weather' is known only from 2024-05-01T18:00:00+00:00, and now it "
        "is 2024-05-01T17:00:00+00:00: the online store never holds the future.\n"
        "  Fix: Push it once it is known."
    )


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ParameterError) as error:
        materialize(observed(*ROWS), view=airport_weather, until=datetime(2024, 5, 1))

    assert str(error.value) == (
        "The argument 'until' is 2024-05-01T00:00:00, a time without a zone.\n"
        "  Fix: Say the zone, for example with tzinfo=UTC."
    )


def test_a_view_without_rows_is_refused():
    with pytest.raises(DataError) as error:
        materialize(observed(), view=airport_weather)

    assert str(error.value) == (
        "View 'airport_weather' has no rows to materialize.\n"
        "  Fix: Look at its source; what is online already stays as it is."
    )


def test_rows_of_another_view_are_refused():
    with pytest.raises(BoundaryError):
        materialize(Table.of({"origin": ["JFK"], "temp": [1.0]}), view=airport_weather)

    assert not online_file().exists()


def test_an_unknown_view_gets_the_nearest():
    with pytest.raises(ParameterError) as error:
        materialize(observed(*ROWS), view="airport_wether")

    assert str(error.value) == (
        "Operator 'materialize' got a wrong parameter 'view': There is no feature view "
        "'airport_wether'. Did you mean 'airport_weather' or 'airport_congestion'?, got "
        "'airport_wether'.\n  Fix: Pass a value of the declared type and range."
    )


def test_the_plan_names_the_columns_that_the_rows_lack():
    other = Table.of(observed(*ROWS).arrow().drop_columns(["temp", "expires_at"]))
    call = call_of(materialize, materialize.signature.bind((other,), {"view": airport_weather}))

    assert materialize.options.check is not None
    found = materialize.options.check(call)

    assert [(f.problem, f.remedy) for f in found] == [
        (
            "The rows to materialize have no column 'temp', which view 'airport_weather' has. "
            "Known: 'event_time', 'humid', 'known_time', 'origin', 'precip', 'pressure', 'visib', "
            "'wind_gust', 'wind_speed'.",
            "Materialize what compute_features(..., view=airport_weather) makes.",
        )
    ]
