from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest

from features.airport_congestion import airport_congestion
from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.causality import can_tell, first_unfounded
from features.tail_history import tail_history
from features.view import Entity, FeatureView
from headrace import Col, Report, Schema, Table
from operators import nycflights13 as nyc
from operators.check_known_times import check_known_times

START = datetime(2024, 5, 1, tzinfo=UTC)


class Landing(Schema, Protocol):
    """This is a flight; how it went is known when it has landed."""

    tail: str
    scheduled: Annotated[datetime, Col(role="event_time")]
    landed_at: Annotated[datetime | None, Col(role="known_time")]
    delay: Annotated[float | None, Col(unit="min", known_at="landed_at")]


class Fact(Schema, Protocol):
    """This is a fact that is known as a whole."""

    tail: str
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    delay: float


class Timeless(Schema, Protocol):
    """This is a fact of which nobody wrote down when it was known."""

    tail: str
    event_time: datetime
    known_time: datetime
    delay: float


class Delay(Schema, Protocol):
    """This is what was known of an aircraft."""

    delay: float


def as_it_is(source: pa.Table) -> pa.Table:
    return source


def mean_of_all_time(source: pa.Table) -> pd.DataFrame:
    frame = source.to_pandas()
    return frame.assign(delay=frame.groupby("tail")["delay"].transform("mean"))


def mean_so_far(source: pa.Table) -> pd.DataFrame:
    frame = source.to_pandas().sort_values(["known_time", "tail"])
    means = frame.groupby("tail")["delay"].expanding().mean().reset_index(level=0, drop=True)
    return frame.assign(delay=means)


def known_at_departure(source: pa.Table) -> pa.Table:
    return source.select(["tail", "scheduled", "delay"]).append_column(
        "landed_at", source.column("scheduled")
    )


def known_at_landing(source: pa.Table) -> pa.Table:
    return source.filter(source.column("landed_at").is_valid())


def once_others_followed(source: pa.Table) -> pa.Table:
    return source.slice(0, max(source.num_rows - 5, 0))


def view(compute: Any, source: type = Fact, **changes: Any) -> FeatureView:
    return FeatureView(
        name="delays",
        entities=(Entity(name="tail", column="tail"),),
        source=source,
        features=Delay,
        compute=compute,
        owner="ops",
        description="Delays of an aircraft.",
        **changes,
    )


def facts(count: int = 20) -> pa.Table:
    times = [START + timedelta(hours=i) for i in range(count)]
    return pa.table(
        {
            "tail": ["a", "b"] * (count // 2),
            "event_time": times,
            "known_time": times,
            "delay": [float(i) for i in range(count)],
        }
    )


def landings(count: int = 20) -> pa.Table:
    scheduled = [START + timedelta(hours=i) for i in range(count)]
    return pa.table(
        {
            "tail": ["a", "b"] * (count // 2),
            "scheduled": scheduled,
            "landed_at": [t + timedelta(hours=3) for t in scheduled],
            "delay": [float(i) for i in range(count)],
        }
    )


@pytest.mark.parametrize("compute", [as_it_is, mean_so_far])
def test_a_view_that_uses_only_what_was_known_passes(compute):
    assert first_unfounded(view(compute), facts()) is None


def test_a_mean_over_all_time_is_found_with_the_row_that_changes():
    found = first_unfounded(view(mean_of_all_time), facts())

    assert found is not None
    assert found.problem() == (
        "View 'delays' uses what became known later: 'delay' of tail 'a', known at "
        "2024-05-01T00:00:00+00:00, is 9.0, and 3.0 without them, so that it is right only with "
        "source rows that became known after 2024-05-01T06:00:00+00:00; 7 of 7 rows change."
    )
    assert found.remedy() == (
        "Compute each row from what was known at its known time, or give it the known time of the "
        "latest value it uses."
    )


def test_a_value_that_claims_to_be_known_too_early_is_found():
    times = {"event_time": "scheduled", "known_time": "landed_at"}

    early = first_unfounded(view(known_at_departure, Landing, **times), landings())
    honest = first_unfounded(view(known_at_landing, Landing, **times), landings())

    assert early is not None
    assert (early.column, early.claimed, early.founded) == ("delay", 4.0, None)
    assert honest is None


def test_a_row_that_is_there_only_because_of_later_ones_is_found():
    found = first_unfounded(view(once_others_followed), facts())

    assert found is not None
    assert found.problem() == (
        "View 'delays' uses what became known later: the row of tail 'a', known at "
        "2024-05-01T00:00:00+00:00, is there only with source rows that became known after "
        "2024-05-01T04:00:00+00:00; 5 of 5 rows change."
    )


def test_a_source_without_known_times_cannot_tell():
    leaky = view(mean_of_all_time, Timeless)

    assert not can_tell(leaky.source_schema)
    assert first_unfounded(leaky, facts()) is None


def test_the_operator_reports_what_was_found():
    good = check_known_times(Table[Fact].of(facts()), view=view(mean_so_far))
    bad = check_known_times(Table[Fact].of(facts()), view=view(mean_of_all_time))

    assert isinstance(good, Report)
    assert good.document == {"passed": True, "view": "delays", "tell": True}
    assert bad.document["passed"] is False
    assert bad.document["problem"].startswith("View 'delays' uses what became known later")
    assert (bad.document["rows"], bad.document["looked_at"]) == (7, 7)


def test_the_bundled_views_use_nothing_that_became_known_later():
    raw = nyc.time_flights(nyc.read_flights(), nyc.read_airports(), decide_before_hours=2.0)
    landed, weather = nyc.landings(raw), nyc.time_weather(nyc.read_weather())

    for each, source in (
        (airport_weather, weather),
        (tail_history, landed),
        (carrier_history, landed),
        (airport_congestion, raw),
    ):
        assert can_tell(each.source_schema)
        assert first_unfounded(each, source.arrow()) is None
