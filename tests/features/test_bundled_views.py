"""The bundled views, each against an oracle that uses only what was known at the row's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.airport_congestion import airport_congestion
from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.tail_history import tail_history

US = pa.timestamp("us", tz="UTC")
START = datetime(2013, 3, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def landings(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table(
        {
            "flight_id": [r["id"] for r in rows],
            "tail": pa.array([r["tail"] for r in rows], pa.string()),
            "carrier": pa.array([r["carrier"] for r in rows], pa.string()),
            "origin": ["JFK"] * len(rows),
            "dest": ["BOS"] * len(rows),
            "event_time": pa.array([r["landed"] - timedelta(hours=2) for r in rows], US),
            "known_time": pa.array([r["landed"] for r in rows], US),
            "departure_delay": pa.array([r["departure_delay"] for r in rows], pa.float64()),
            "arrival_delay": pa.array([r["arrival_delay"] for r in rows], pa.float64()),
        }
    )


@st.composite
def some_landings(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(0, 25))
    return [
        {
            "id": f"f{i:02}",
            "tail": draw(st.sampled_from(["N1", "N2", None])),
            "carrier": draw(st.sampled_from(["AA", "UA"])),
            "landed": at(draw(st.integers(0, 30)) * 12),  # ties, and gaps at a window's very edge
            "departure_delay": float(draw(st.integers(-5, 60))),
            "arrival_delay": float(draw(st.integers(-20, 60))),
        }
        for i in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(rows=some_landings())
def test_an_aircrafts_history_uses_only_landings_known_by_then(rows):
    computed = tail_history.rows(landings(rows)).to_pylist()

    expected = []
    for tail, landed in sorted({(r["tail"], r["landed"]) for r in rows if r["tail"]}):
        known = [r for r in rows if r["tail"] == tail and r["landed"] <= landed]
        known.sort(key=lambda r: (r["landed"], r["id"]))
        expected.append(
            {
                "tail": tail,
                "event_time": landed,
                "known_time": landed,
                "expires_at": landed + timedelta(days=30),
                "last_arrival_delay": known[-1]["arrival_delay"],
                "last_departure_delay": known[-1]["departure_delay"],
                "mean_arrival_delay": pytest.approx(fmean(r["arrival_delay"] for r in known[-5:])),
                "tail_landings_day": sum(r["landed"] >= landed - timedelta(days=1) for r in known),
            }
        )
    assert computed == expected


@settings(max_examples=40, deadline=None)
@given(rows=some_landings())
def test_a_carriers_history_uses_only_landings_known_by_then(rows):
    computed = carrier_history.rows(landings(rows)).to_pylist()

    expected = []
    for carrier, landed in sorted({(r["carrier"], r["landed"]) for r in rows}):
        known = [r for r in rows if r["carrier"] == carrier and r["landed"] <= landed]
        day = [r for r in known if r["landed"] >= landed - timedelta(days=1)]
        week = [r for r in known if r["landed"] >= landed - timedelta(days=7)]
        expected.append(
            {
                "carrier": carrier,
                "event_time": landed,
                "known_time": landed,
                "expires_at": landed + timedelta(days=7),
                "late_share_day": pytest.approx(fmean(r["arrival_delay"] > 15 for r in day)),
                "late_share_week": pytest.approx(fmean(r["arrival_delay"] > 15 for r in week)),
                "mean_delay_day": pytest.approx(fmean(r["arrival_delay"] for r in day)),
                "carrier_landings_day": len(day),
            }
        )
    assert computed == expected


def flights(rows: list[dict[str, Any]]) -> pa.Table:
    given: dict[str, Any] = {
        "flight_id": [str(i) for i in range(len(rows))],
        "origin": pa.array([r["origin"] for r in rows], pa.string()),
        "scheduled_departure": pa.array([r["scheduled"] for r in rows], US),
        "departed_at": pa.array([r["departed"] for r in rows], US),
        "departure_delay": pa.array([r["delay"] for r in rows], pa.float64()),
    }
    blank = {"string": "x", "int": 1, "float": 1.0, "timestamp": START, "category": "landed"}
    for column in airport_congestion.source_schema.columns:
        if column.name not in given:
            values = [blank[column.dtype]] * len(rows)
            kind = pa.timestamp("us", tz="UTC") if column.dtype == "timestamp" else None
            given[column.name] = pa.array(values, kind)
    return pa.table(given)


@st.composite
def some_flights(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for _ in range(draw(st.integers(1, 15))):
        scheduled = at(draw(st.integers(0, 32)) / 4)
        delay = draw(st.one_of(st.none(), st.integers(-30, 600)))
        rows.append(
            {
                "origin": draw(st.sampled_from(["JFK", "LGA"])),
                "scheduled": scheduled,
                "departed": None if delay is None else scheduled + timedelta(minutes=delay),
                "delay": None if delay is None else float(delay),
            }
        )
    return rows


@settings(max_examples=40, deadline=None)
@given(rows=some_flights())
def test_an_airports_congestion_uses_only_departures_known_by_the_hour(rows):
    computed = airport_congestion.rows(flights(rows)).to_pylist()

    span = timedelta(hours=3)
    for row in computed:
        now = row["known_time"]
        here = [r for r in rows if r["origin"] == row["origin"]]
        left = [r for r in here if r["departed"] and now - span < r["departed"] <= now]
        waiting = [
            r
            for r in here
            if now - span < r["scheduled"] <= now and not (r["departed"] and r["departed"] <= now)
        ]
        assert row["scheduled_next"] == sum(now < r["scheduled"] <= now + span for r in here)
        assert row["departed_last"] == len(left)
        assert row["mean_delay_last"] == (
            pytest.approx(fmean(r["delay"] for r in left)) if left else None
        )
        assert row["waiting"] == len(waiting)
    hours = [(r["origin"], r["known_time"]) for r in computed]
    assert len(hours) == len(set(hours))
    for r in rows:
        assert (r["origin"], r["scheduled"].replace(minute=0)) in hours


def test_the_weather_is_usable_once_published_and_for_six_hours():
    columns = airport_weather.source_schema.names
    given = {n: [1.0] for n in columns} | {"origin": ["JFK"]}
    given |= {"event_time": [at(0)], "known_time": [at(1)]}

    rows = airport_weather.rows(pa.table(given)).to_pylist()

    assert rows == [
        {
            "origin": "JFK",
            "event_time": at(0),
            "known_time": at(1),
            "expires_at": at(6),
            **dict.fromkeys(
                ["temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"], 1.0
            ),
        }
    ]
