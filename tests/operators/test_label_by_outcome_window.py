"""A window that is too short is refused or warned about, with the lag as it was measured.

The share that a window joins is held against the exact binomial interval: a window that joins 95%
of all outcomes is refused by chance once in 40 tables at most.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import numpy as np
import pytest

from headrace import Col, Labels, Report, Schema, Table
from headrace.errors import DataError
from operators.label_by_outcome import label_by_outcome
from operators.nycflights13 import landings, read_airports, read_flights, time_flights

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Trips(Schema, Protocol):
    trip: Annotated[int, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime | None, Col(role="known_time")]
    delay: Annotated[float | None, Col(unit="min", known_at="known_at")]


class Asked(Schema, Protocol):
    trip: Annotated[int, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]


class Arrivals(Schema, Protocol):
    trip: Annotated[int, Col(role="entity")]
    arrived_at: Annotated[datetime, Col(role="event_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    delay: Annotated[float, Col(unit="min", known_at="known_at")]


def trips(lags: list[float | None], asked: list[float] | None = None) -> Table[Trips]:
    """Trips asked for at noon, or hours after it, and known some hours later, or never."""
    begins = [NOON + timedelta(hours=h) for h in asked or [0.0] * len(lags)]
    pairs = list(zip(begins, lags, strict=True))
    return Table[Trips].of(
        {
            "trip": list(range(len(lags))),
            "asked_at": begins,
            "known_at": [None if h is None else b + timedelta(hours=h) for b, h in pairs],
            "delay": [None if h is None else h * 60 for h in lags],
        }
    )


def apart(table: Table[Trips]) -> tuple[Table[Asked], Table[Arrivals]]:
    """The same trips with what came of them in a table of its own."""
    rows = table.arrow()
    arrived = rows.filter(rows["delay"].is_valid())
    arrived = arrived.append_column("arrived_at", arrived["known_at"])
    return Table[Asked].of(rows), Table[Arrivals].of(arrived)


def both(table: Table[Trips], **asked: Any) -> list[tuple[Labels[Any], Report]]:
    """Labels and report where decisions carry their outcomes, and where these are observed."""
    settings = {"outcome": "delay", "short_window": "warn", **asked}
    return [
        label_by_outcome(table, **settings),
        label_by_outcome(*apart(table), **settings),
    ]


def test_a_window_that_joins_too_few_is_refused_with_the_lag_and_with_what_would_do():
    # 1 to 100 hours, and ten that never come
    table = trips([float(h) for h in range(1, 101)] + [None] * 10)
    late = NOON + timedelta(days=365)

    for arguments in ((table,), apart(table)):
        with pytest.raises(DataError) as refused:
            label_by_outcome(
                *arguments, outcome="delay", above=2400.0, window_hours=50, as_of=late,
                short_window="refuse",
            )  # fmt: skip

        assert str(refused.value) == (
            "Of the 100 outcomes that became known of 110 decisions that were watched for 8,760.0 "
            "hours, window_hours=50 joins 50.0%; 95% are needed. Half are known 50.00 hours after "
            "the decision, 90% after 90.00 and 99% after 99.00. 'delay' is above 2400 in 20.0% of "
            "what the window labels, and in 60.0% in the end.\n"
            '  Fix: Give window_hours=99, which joins 99%, or short_window="warn" to label all the '
            "same."
        )


def test_it_is_refused_with_observations_unless_one_says_otherwise_and_not_looked_at_without():
    table = trips([float(h) for h in range(1, 101)])
    asked = {"outcome": "delay", "window_hours": 50, "as_of": NOON + timedelta(days=365)}

    with pytest.raises(DataError, match=r"window_hours=50 joins 50\.0%"):
        label_by_outcome(*apart(table), **asked)
    _, report = label_by_outcome(table, **asked)

    assert "lag" not in report.document


def test_a_warning_is_in_the_report_and_in_the_log(caplog: pytest.LogCaptureFixture):
    table = trips([float(h) for h in range(1, 101)])

    with caplog.at_level(logging.WARNING, logger="headrace.labels"):
        reports = [each.document for _, each in both(table, window_hours=50, as_of=None)]

    assert [len(each["warnings"]) for each in reports] == [1, 1]
    assert [record.message for record in caplog.records] == [r["warnings"][0] for r in reports]
    assert reports[0]["labelled"] == 50


def test_the_window_that_is_named_joins_99_of_100():
    generator = np.random.default_rng(7)
    table = trips(generator.gamma(2.0, 1.7, 1_000).tolist())

    with pytest.raises(DataError) as refused:
        label_by_outcome(table, outcome="delay", window_hours=2, short_window="refuse")
    hours = float(refused.value.remedy.split("window_hours=")[1].split(",")[0])
    _, report = label_by_outcome(table, outcome="delay", window_hours=hours, short_window="refuse")

    assert 0.99 <= report.document["lag"]["joined_share"] < 0.995


def test_young_decisions_do_not_make_outcomes_look_quick():
    # one decision an hour for 400 hours; outcomes take 1 to 40 hours, so that of the last ones
    # only the quick are known. Counting all that is known, 30 hours would seem to join more.
    generator = np.random.default_rng(11)
    lags = generator.uniform(1, 40, 400)
    table = trips(lags.tolist(), asked=[float(hour) for hour in range(400)])
    as_of = NOON + timedelta(hours=60)
    known = np.arange(400) + lags <= 60

    for _, report in both(table, window_hours=20, as_of=as_of):
        lag = report.document["lag"]
        old = np.arange(400) <= 60 - lag["watched_hours"]
        honest = (lags[old] <= 20).sum() / (lags[old] <= lag["watched_hours"]).sum()

        assert lag["joined_share"] == pytest.approx(honest)
        assert (lags[known] <= 20).mean() > honest + 0.05
        assert lag["short"] is True


def test_one_cannot_tell_when_decisions_were_hardly_watched_for_longer_than_the_window():
    table = trips([float(h) for h in range(1, 41)])

    early, later = (
        both(table, window_hours=38, as_of=NOON + timedelta(hours=hours))[0][1].document["lag"]
        for hours in (39, 80)
    )

    assert (early["joined_share"], early["short"]) == (pytest.approx(38 / 39), None)
    assert (later["joined_share"], later["short"]) == (pytest.approx(38 / 40), False)


def test_a_handful_that_came_late_is_no_proof():
    few, _ = both(trips([1.0, 2.0, 3.0, 60.0]), window_hours=24, as_of=NOON + timedelta(days=9))[1]
    _, report = both(trips([1.0] * 6 + [60.0] * 6), window_hours=24)[0]

    assert few.rows == 3
    assert report.document["lag"]["short"] is True


def test_where_nothing_observed_is_negative_only_what_happened_in_the_window_is_waited_for():
    # half buy within the day and are known an hour later, half a week later: no late outcomes
    asked = Table[Asked].of({"trip": list(range(200)), "asked_at": [NOON] * 200})
    begins = [NOON + timedelta(hours=1 if n % 2 else 168) for n in range(200)]
    seen = Table[Arrivals].of(
        {
            "trip": list(range(200)),
            "arrived_at": begins,
            "known_at": [at + timedelta(hours=1) for at in begins],
            "delay": [100.0] * 200,
        }
    )
    later = {"outcome": "delay", "above": 90.0, "window_hours": 24, "as_of": NOON.replace(month=5)}

    labels, report = label_by_outcome(asked, seen, on_missing="negative", **later)
    with pytest.raises(DataError, match=r"joins 50\.0%"):
        label_by_outcome(asked, seen, **later)

    assert (labels.rows, report.document["positive_share"]) == (200, 0.5)
    assert report.document["lag"]["positive_share"] == {"within_window": 0.5, "eventually": 0.5}


@pytest.fixture(scope="module")
def flights() -> tuple[Table[Any], Table[Any]]:
    made = time_flights(read_flights(), read_airports())
    return made, landings(made)


def test_late_flights_are_the_same_from_landings_as_from_their_own_column(
    flights: tuple[Table[Any], Table[Any]],
):
    made, seen = flights
    asked: dict[str, Any] = {
        "outcome": "arrival_delay", "above": 15.0, "window_hours": 10.0,
        "reason_column": "outcome", "as_of": datetime(2014, 2, 1, tzinfo=UTC),
    }  # fmt: skip

    carried, counts = label_by_outcome(made, **asked)
    observed, report = label_by_outcome(made, seen, **asked)

    assert observed.digest == carried.digest
    assert report.document["censored_by_reason"] == counts.document["censored_by_reason"] == {
        "cancelled": 8_255, "diverted": 1_175, "known after the window": 2_640,
    }  # fmt: skip
    assert report.document["observations"]["outcomes"] == report.document["labelled"] == 324_706


def test_flights_that_land_late_are_late_to_be_known_so_short_windows_hide_them(
    flights: tuple[Table[Any], Table[Any]],
):
    made, seen = flights

    _, report = label_by_outcome(
        made, seen, outcome="arrival_delay", above=15.0, window_hours=4.0, short_window="warn"
    )

    lag, rows = report.document["lag"], made.arrow()
    took = (rows["landed_at"].to_numpy() - rows["decided_at"].to_numpy()) / np.timedelta64(1, "h")
    last = np.nanmax(rows["landed_at"].to_numpy())
    old = (last - rows["decided_at"].to_numpy()) / np.timedelta64(1, "h") >= lag["watched_hours"]
    took = np.sort(took[old & ~np.isnan(took)])
    assert lag["known"] == len(took)
    assert lag["joined_share"] == pytest.approx((took <= 4).mean())
    assert lag["hours"]["p99"] == pytest.approx(took[math.ceil(0.99 * len(took)) - 1])
    assert lag["positive_share"]["within_window"] < lag["positive_share"]["eventually"] / 3
