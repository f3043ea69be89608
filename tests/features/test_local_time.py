"""These tests specify how clock times on the wall become instants."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features._local_time import instants
from headrace.errors import DataError, UnknownNameError


def test_a_clock_time_is_the_instant_at_which_that_zones_clocks_show_it():
    winter_and_summer = pd.DatetimeIndex(["2013-01-01 12:00", "2013-07-01 12:00"])

    found = instants(winter_and_summer, "America/New_York")

    assert list(found) == [
        datetime(2013, 1, 1, 17, tzinfo=UTC),
        datetime(2013, 7, 1, 16, tzinfo=UTC),
    ]


def test_a_clock_time_that_occurs_twice_is_refused_unless_it_is_said_which_is_meant():
    doubled = pd.DatetimeIndex(["2013-11-02 01:30", "2013-11-03 01:30"])

    with pytest.raises(DataError) as refused:
        instants(doubled, "America/New_York")
    first = instants(doubled, "America/New_York", ambiguous="first")
    second = instants(doubled, "America/New_York", ambiguous="second")

    assert str(refused.value) == (
        "The times hold 1 value that occurs twice in America/New_York, where the clocks change: "
        "2013-11-03 01:30:00 in row 1.\n"
        "  Fix: Write times with their offset from UTC, or choose ambiguous='first' or 'second'."
    )
    assert first[1] == datetime(2013, 11, 3, 5, 30, tzinfo=UTC)
    assert second[1] == datetime(2013, 11, 3, 6, 30, tzinfo=UTC)


def test_a_clock_time_that_is_skipped_is_refused_unless_it_is_moved_forward():
    skipped = pd.DatetimeIndex(["2013-03-10 02:30"])

    with pytest.raises(DataError) as refused:
        instants(skipped, "America/New_York")
    forward = instants(skipped, "America/New_York", nonexistent="forward")

    assert str(refused.value) == (
        "The times hold 1 value that occurs never in America/New_York, where the clocks change: "
        "2013-03-10 02:30:00 in row 0.\n"
        "  Fix: Write times with their offset from UTC, or choose nonexistent='forward'."
    )
    assert forward[0] == datetime(2013, 3, 10, 7, tzinfo=UTC)


def test_allowing_doubled_times_does_not_allow_skipped_ones():
    both = pd.DatetimeIndex(["2013-11-03 01:30", "2013-03-10 02:30"])

    with pytest.raises(DataError, match="occurs never"):
        instants(both, "America/New_York", ambiguous="first")


def test_a_null_stays_null():
    times = pd.DatetimeIndex(["2013-01-01", None])

    found = instants(times, "Europe/Berlin")

    assert list(found.isna()) == [False, True]


def test_an_unknown_zone_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as refused:
        instants(pd.DatetimeIndex(["2013-01-01"]), "America/New_Yrok")

    assert refused.value.problem.startswith(
        "There is no time zone 'America/New_Yrok'. Did you mean 'America/New_York'"
    )


@given(
    st.lists(st.integers(1_356_998_400, 1_388_534_400), max_size=20),
    st.sampled_from(["America/New_York", "America/Phoenix", "Pacific/Honolulu", "Europe/Berlin"]),
)
def test_an_instant_that_is_read_off_a_clock_comes_back(seconds: list[int], zone: str):
    true = pd.to_datetime(pd.Index(seconds, dtype="int64"), unit="s", utc=True)
    wall = true.tz_convert(zone).tz_localize(None)

    first = instants(wall, zone, ambiguous="first")
    second = instants(wall, zone, ambiguous="second")

    assert all(t in (a, b) for t, a, b in zip(true, first, second, strict=True))
