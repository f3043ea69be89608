from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from headrace.clock import VirtualClock, using_clock
from headrace.errors import DefinitionError, ParameterError
from headrace.partitioning import (
    Daily,
    Hourly,
    Monthly,
    Partition,
    Weekly,
    partition_argument,
    partition_of,
    partitions_between,
    period_named,
    require_fitting,
)

YEARS = st.integers(1, 9998)
DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))
ALL: list[Partition] = [Hourly("it"), Daily("it"), Weekly("it"), Monthly("it")]
EACH = pytest.mark.parametrize("partition", ALL, ids=[p.grain for p in ALL])


@pytest.mark.parametrize(
    ("partition", "text", "count", "first", "last"),
    [
        pytest.param(Monthly("m"), "2013-01..2013-03", 3, "2013-01", "2013-03", id="months"),
        pytest.param(Monthly("m"), "2013-02", 1, "2013-02", "2013-02", id="one month"),
        pytest.param(Monthly("m"), "2013", 12, "2013-01", "2013-12", id="the months of a year"),
        pytest.param(Daily("d"), "2013-01..2013-03", 90, "2013-01-01", "2013-03-31", id="days"),
        pytest.param(
            Daily("d"), "2013-12-30 .. 2014", 367, "2013-12-30", "2014-12-31", id="mixed ends"
        ),
        pytest.param(Daily("d"), "2013-W01", 7, "2012-12-31", "2013-01-06", id="days of a week"),
        pytest.param(
            Weekly("w"), "2015", 53, "2015-W01", "2015-W53", id="a year of fifty-three weeks"
        ),
        pytest.param(
            Weekly("w"), "2013-01", 5, "2013-W01", "2013-W05", id="a week is its Thursday's month's"
        ),
        pytest.param(
            Hourly("h"), "2012-02-29", 24, "2012-02-29T00", "2012-02-29T23", id="hours of a day"
        ),
    ],
)
def test_a_range_lists_its_partitions(
    partition: Partition, text: str, count: int, first: str, last: str
):
    listed = partitions_between(partition, text)

    assert (len(listed), listed[0], listed[-1]) == (count, first, last)


@given(year=YEARS, month=st.integers(1, 12))
def test_a_month_has_as_many_days_as_the_calendar_says(year: int, month: int):
    days = partitions_between(Daily("it"), f"{year:04}-{month:02}")

    assert len(days) == calendar.monthrange(year, month)[1]
    assert days[-1] == f"{year:04}-{month:02}-{len(days):02}"


@given(year=YEARS)
def test_the_weeks_of_its_months_are_the_iso_weeks_of_the_year(year: int):
    months = [f"{year:04}-{month:02}" for month in range(1, 13)]

    weeks = [week for month in months for week in partitions_between(Weekly("it"), month)]

    count = date(year, 12, 28).isocalendar().week  # always in the last week of its year
    assert weeks == [f"{year:04}-W{number:02}" for number in range(1, count + 1)]
    assert tuple(weeks) == partitions_between(Weekly("it"), f"{year:04}")


@EACH
@given(start=DAYS, length=st.integers(0, 500))
def test_a_range_has_both_ends_no_gap_and_nothing_twice(
    partition: Partition, start: date, length: int
):
    since = datetime.combine(start, datetime.min.time())
    steps = [since + timedelta(hours=h) for h in range(length)]
    if partition.grain != "hour":
        steps = [since + timedelta(days=d) for d in range(length)]
    names = dict.fromkeys(partition_of(moment, partition.grain) for moment in [since, *steps])
    ends = list(names)

    listed = partitions_between(partition, f"{ends[0]}..{ends[-1]}")

    assert list(listed) == ends
    periods = [period_named(name) for name in listed]
    assert all(a.after == b.first for a, b in pairwise(periods))
    assert list(listed) == sorted(listed)


@EACH
@given(moment=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_a_moment_lies_in_the_period_that_its_partition_names(
    partition: Partition, moment: datetime
):
    period = period_named(partition_of(moment, partition.grain))

    assert period.first <= moment < period.after
    assert period.grain == partition.grain


@pytest.mark.parametrize(
    ("partition", "last"),
    [
        pytest.param(Hourly("it"), "2013-03-03T11", id="hours"),
        pytest.param(Daily("it"), "2013-03-02", id="days"),
        pytest.param(Weekly("it"), "2013-W08", id="weeks, on a Sunday"),
        pytest.param(Monthly("it"), "2013-02", id="months"),
    ],
)
def test_an_open_range_ends_with_the_last_partition_that_is_over(partition: Partition, last: str):
    with using_clock(VirtualClock(datetime(2013, 3, 3, 12, 30, tzinfo=UTC))):
        listed = partitions_between(partition, "2013-01..")

    assert listed[-1] == last


@pytest.mark.parametrize(
    ("partition", "text", "message"),
    [
        pytest.param(
            Monthly("m"),
            "2013-03..2013-01",
            "The range '2013-03..2013-01' ends before it begins.\n  Fix: Write 2013-01..2013-03.",
            id="the wrong way round",
        ),
        pytest.param(
            Monthly("m"),
            "January",
            "'January' is not a period of the calendar.\n  Fix: Write a year, month, week, day or "
            "hour as in 2013, 2013-01, 2013-W03, 2013-01-05, 2013-01-05T07.",
            id="unreadable",
        ),
        pytest.param(
            Daily("d"),
            "2013-02-01..2013-02-30",
            "'2013-02-30' is not a period of the calendar.\n  Fix: Write a year, month, week, day "
            "or hour as in 2013, 2013-01, 2013-W03, 2013-01-05, 2013-01-05T07.",
            id="no such day",
        ),
        pytest.param(
            Monthly("m"),
            "2013-01-05..2013-02",
            "'2013-01-05' is finer than a month, which is one partition.\n"
            "  Fix: Write whole ones, such as 2013-01.",
            id="too fine",
        ),
        pytest.param(
            Monthly("m"),
            "..2013",
            "The range '..2013' has no beginning.\n  Fix: Write it as in 2013-01..2013-03.",
            id="no beginning",
        ),
        pytest.param(
            Monthly("m"),
            "2013-03..",
            "No month of the range '2013-03..' is over yet.\n"
            "  Fix: Begin earlier, or wait: the last one that is over is 2013-02 (UTC).",
            id="nothing over yet",
        ),
        pytest.param(
            Hourly("h"),
            "1900..2000",
            "The range '1900..2000' has 885,360 partitions, one a hour; 100,000 are allowed.\n"
            "  Fix: Take a shorter range.",
            id="too many",
        ),
    ],
)
def test_a_range_that_cannot_be_run_is_refused(partition: Partition, text: str, message: str):
    with (
        using_clock(VirtualClock(datetime(2013, 3, 3, tzinfo=UTC))),
        pytest.raises(ParameterError) as refused,
    ):
        partitions_between(partition, text)

    assert str(refused.value) == message


def by_date(*, it: date, size: int = 3) -> None:
    """Take a date."""


def by_time(*, it: datetime) -> None:
    """Take a time."""


def by_text(*, it: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")] = "2013-01") -> None:
    """Take text."""


def by_perhaps(*, it: date | None = None) -> None:
    """Take a date or nothing."""


def by_number(*, it: int) -> None:
    """Take a number."""


@pytest.mark.parametrize(
    ("partition", "body", "key", "argument"),
    [
        pytest.param(Monthly("it"), by_date, "2013-02", date(2013, 2, 1), id="a month's first day"),
        pytest.param(Weekly("it"), by_date, "2013-W01", date(2012, 12, 31), id="a week's Monday"),
        pytest.param(Daily("it"), by_perhaps, "2013-02-03", date(2013, 2, 3), id="a day"),
        pytest.param(
            Hourly("it"),
            by_time,
            "2013-02-03T04",
            datetime(2013, 2, 3, 4, tzinfo=UTC),
            id="an hour in UTC",
        ),
        pytest.param(Monthly("it"), by_text, "2013-02", "2013-02", id="its name"),
    ],
)
def test_a_parameter_gets_the_first_moment_or_the_name(
    partition: Partition, body: Callable[..., Any], key: str, argument: Any
):
    require_fitting(partition, body, "counting")

    found = partition_argument(partition, body, key)

    assert (found, type(found)) == (argument, type(argument))


@pytest.mark.parametrize(
    ("partition", "body", "message"),
    [
        pytest.param(
            Daily("siz"),
            by_date,
            "Flow 'counting' is partitioned by its parameter 'siz', which it does not have. Did "
            "you mean 'size'?\n  Fix: Name the parameter that tells the day.",
            id="no such parameter",
        ),
        pytest.param(
            Daily("it"),
            by_number,
            "Flow 'counting' is partitioned by the day, but its parameter 'it' is int.\n"
            '  Fix: Make it a date, the first moment of the day, or a str such as "2013-01-05".',
            id="a number",
        ),
        pytest.param(
            Hourly("it"),
            by_date,
            "Flow 'counting' is partitioned by the hour, but its parameter 'it' is date.\n"
            "  Fix: Make it a datetime, the first moment of the hour, or a str such as "
            '"2013-01-05T07".',
            id="hours in a date",
        ),
        pytest.param(
            "day",
            by_date,
            "Flow 'counting' has the partition 'day'.\n"
            '  Fix: Write `partition=Daily("day")`, or Hourly, Weekly or Monthly.',
            id="no partition",
        ),
    ],
)
def test_a_partition_that_does_not_fit_the_flow_is_refused(
    partition: Any, body: Callable[..., Any], message: str
):
    with pytest.raises(DefinitionError) as refused:
        require_fitting(partition, body, "counting")

    assert str(refused.value) == message
