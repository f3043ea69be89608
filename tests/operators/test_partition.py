from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Col, Partitions, Report, Schema, Table, flow, map_over, operator
from headrace.errors import DataError, HeadraceError, ParameterError
from headrace.execution import FlowRun, Session, run_plan
from headrace.promise import call_of
from headrace.settings import using_settings
from headrace.testing import check_operator
from operators.partition import partition_by_period, take_period

S = TypeVar("S", bound=Schema)


class Call(Schema, Protocol):
    """This is a call to a doctor."""

    call: Annotated[int, Col(role="entity")]
    at: Annotated[datetime, Col(role="event_time")]
    day: date
    answered_at: datetime | None


def calls(*moments: datetime) -> Table[Call]:
    made: Table[Call] = Table[Call].of(
        {
            "call": list(range(len(moments))),
            "at": list(moments),
            "day": [moment.date() for moment in moments],
            "answered_at": [None for _ in moments],
        }
    )
    return made


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


# The third of four is the first day of March in New York only from five o'clock on.
FOUR = calls(utc(2013, 2, 28, 23), utc(2013, 1, 5, 7, 30), utc(2013, 3, 1, 2), utc(2013, 3, 1, 6))


def parts(cut: Partitions[Table[Any]]) -> dict[str, list[int]]:
    return {name: table.arrow()["call"].to_pylist() for name, table in cut.items.items()}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        pytest.param(
            "hour",
            {
                "2013-01-05T07": [1],
                "2013-02-28T23": [0],
                "2013-03-01T02": [2],
                "2013-03-01T06": [3],
            },
            id="hours",
        ),
        pytest.param(
            "day", {"2013-01-05": [1], "2013-02-28": [0], "2013-03-01": [2, 3]}, id="days"
        ),
        pytest.param("week", {"2013-W01": [1], "2013-W09": [0, 2, 3]}, id="weeks"),
        pytest.param("month", {"2013-01": [1], "2013-02": [0], "2013-03": [2, 3]}, id="months"),
    ],
)
def test_a_table_is_cut_into_the_periods_that_have_rows_from_early_to_late(
    every: Any, expected: dict[str, list[int]]
):
    cut = partition_by_period(FOUR, every=every)

    assert list(parts(cut).items()) == list(expected.items())


def test_the_clock_of_the_zone_decides():
    cut = partition_by_period(FOUR, every="month", timezone="America/New_York")

    assert parts(cut) == {"2013-01": [1], "2013-02": [0, 2], "2013-03": [3]}


def test_dates_have_no_zone():
    cut = partition_by_period(FOUR, every="day", column="day", timezone="America/New_York")

    assert parts(cut) == {"2013-01-05": [1], "2013-02-28": [0], "2013-03-01": [2, 3]}


@settings(max_examples=50)
@given(
    minutes=st.lists(st.integers(0, 60 * 24 * 800), max_size=30),
    every=st.sampled_from(["hour", "day", "week", "month"]),
)
def test_cutting_loses_and_doubles_no_row_and_each_part_is_what_its_name_takes(
    minutes: list[int], every: Any
):
    table = calls(*[utc(2011, 12, 1) + timedelta(minutes=m) for m in minutes])

    cut = partition_by_period(table, every=every)

    assert sorted(call for part in parts(cut).values() for call in part) == list(
        range(len(minutes))
    )
    assert list(cut.items) == sorted(cut.items)
    for name, part in cut.items.items():
        assert part.digest == take_period(table, period=name).digest


@pytest.mark.parametrize(
    ("period", "zone", "expected"),
    [
        pytest.param("2013", "UTC", [0, 1, 2, 3], id="a year"),
        pytest.param("2013-03", "UTC", [2, 3], id="a month"),
        pytest.param("2013-03", "America/New_York", [3], id="a month elsewhere"),
        pytest.param("2013-W09", "UTC", [0, 2, 3], id="a week"),
        pytest.param("2013-01-05", "UTC", [1], id="a day"),
        pytest.param("2013-03-01T06", "UTC", [3], id="an hour"),
    ],
)
def test_one_period_is_taken_in_the_order_of_the_rows(period: str, zone: str, expected: list[int]):
    taken = take_period(FOUR, period=period, timezone=zone)

    assert taken.arrow()["call"].to_pylist() == expected


def test_a_period_without_rows_is_refused_with_what_there_is():
    with pytest.raises(DataError) as refused:
        take_period(FOUR, period="2014-01")

    assert str(refused.value) == (
        "None of the 4 rows has its 'at' in 2014-01; they reach from 2013-01-05T07:30:00 to "
        "2013-03-01T06:00:00 (UTC).\n  Fix: Take a period that the data has."
    )


def test_a_row_without_a_time_belongs_to_no_period():
    with pytest.raises(DataError) as refused:
        partition_by_period(FOUR, column="answered_at")

    assert str(refused.value) == (
        "The time 'answered_at' is null in 4 of 4 rows, which belong to no period.\n"
        "  Fix: Cut by a time that every row has, or take those rows out first."
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(
            {"period": "2013-13"}, "'2013-13' is not a period of the calendar.", id="no period"
        ),
        pytest.param(
            {"period": "2013", "timezone": "Europe/Gotham"},
            "There is no time zone 'Europe/Gotham'.",
            id="no zone",
        ),
        pytest.param(
            {"period": "2013", "column": "att"},
            "Schema 'Call' has no column 'att' to cut by. Did you mean 'at'?",
            id="no column",
        ),
        pytest.param(
            {"period": "2013", "column": "call"},
            "Column 'call' of schema 'Call' is int, not a time.",
            id="no time",
        ),
    ],
)
def test_what_cannot_be_cut_is_found_by_the_plan_and_refused_by_the_body(
    arguments: dict[str, Any], problem: str
):
    planned = call_of(take_period, take_period.signature.bind((FOUR,), arguments))
    check = take_period.options.check

    assert check is not None
    assert [finding.problem for finding in check(planned)] == [problem]
    with pytest.raises(HeadraceError) as refused:
        take_period(FOUR, **arguments)
    assert refused.value.problem == problem


def test_another_word_for_a_period_is_refused():
    with pytest.raises(ParameterError) as refused:
        partition_by_period.body(FOUR, every="decade")  # type: ignore[arg-type]

    assert str(refused.value) == (
        "A table cannot be cut every 'decade'.\n  Fix: Take one of hour, day, week, month."
    )


def test_a_table_without_one_event_time_needs_the_column_named():
    bare = Table.of({"at": [utc(2013, 1, 5)]})

    with pytest.raises(HeadraceError) as refused:
        take_period(bare, period="2013")

    assert refused.value.remedy == "Name the time: `column=...`."
    assert take_period(bare, period="2013", column="at").rows == 1


def test_they_keep_the_contract():
    check_operator(take_period, FOUR, period="2013-03")
    check_operator(partition_by_period, FOUR, every="week", timezone="America/New_York")


@operator()
def read_calls(*, last_day: int = 2) -> Table[Call]:
    """Make two calls on each of some days; what came last changes."""
    hours = [utc(2013, 1, day, hour) for day in (1, 2, 3) for hour in (8, 9)]
    return calls(*hours[:-1], utc(2013, 1, 3, 9, last_day))


@operator()
def count(rows: Table[S]) -> Report:
    """Count rows."""
    return Report.of({"rows": rows.rows, "last": str(rows.arrow()["at"][-1])})


@flow
def counting(*, last_day: int = 2) -> Partitions[Report]:
    """Count the calls of each day."""
    return map_over(count, partition_by_period(read_calls(last_day=last_day), every="day"))


def test_a_map_over_days_reruns_only_the_day_that_changed(tmp_path: Path):
    def run(**arguments: Any) -> FlowRun:
        return run_plan(counting.plan(**arguments).require_sound(), Session.of_settings())

    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        first = run()
        changed = run(last_day=5)
        again = run(last_day=5)

    assert {k: r.document["rows"] for k, r in first.returned().items.items()} == {
        "2013-01-01": 2,
        "2013-01-02": 2,
        "2013-01-03": 2,
    }
    assert first.outcomes["count"].message == "3 partitions, 0 of them cached"
    assert changed.outcomes["count"].message == "3 partitions, 2 of them cached"
    assert again.pure_executed() == 0
