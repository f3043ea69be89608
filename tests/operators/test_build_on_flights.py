"""The real flights through the bundled views: no row is lost, and no value is from the future."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalog import catalog
from headrace import Examples, Labels, Table
from operators import nycflights13 as nyc
from operators.build import build
from operators.compute_features import compute_features
from operators.label_by_outcome import label_by_outcome
from operators.split import split_by_time

SAMPLE = 250


@pytest.fixture(scope="module")
def sources() -> dict[str, Table[Any]]:
    flights = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    landed = nyc.landings(flights)
    return {
        "airport_weather": nyc.time_weather(nyc.read_weather()),
        "tail_history": landed,
        "carrier_history": landed,
        "airport_congestion": flights,
    }


@pytest.fixture(scope="module")
def labels(sources: dict[str, Table[Any]]) -> Labels[Any]:
    made, _ = label_by_outcome(
        sources["airport_congestion"],
        outcome="arrival_delay",
        above=15.0,
        window_hours=30.0,
        reason_column="outcome",
    )
    return made


@pytest.fixture(scope="module")
def examples(sources: dict[str, Table[Any]], labels: Labels[Any]) -> Examples[Any]:
    rows = [compute_features(source, view=name) for name, source in sources.items()]
    return build(labels, rows)


@pytest.fixture(scope="module")
def sampled(examples: Examples[Any], labels: Labels[Any]) -> pd.DataFrame:
    frame = examples.frame().assign(tail=labels.frame()["tail"])
    rows = np.random.default_rng(13).choice(len(frame), SAMPLE, replace=False)
    return frame.iloc[rows]


def test_every_labelled_flight_is_kept_in_its_order(examples, labels):
    assert examples.arrow()["flight_id"].equals(labels.arrow()["flight_id"])
    assert catalog().view("tail_history").schema.name == "tail_history"


def test_an_aircrafts_history_is_what_had_landed_at_the_decision(sampled, sources):
    landed = sources["tail_history"].frame()
    by_tail = dict(iter(landed.groupby("tail")))

    for row in sampled.itertuples():
        known = by_tail.get(row.tail, landed.iloc[:0])
        known = known[known["known_time"] <= row.decided_at].sort_values("known_time")
        recent = known[known["known_time"] >= row.decided_at - timedelta(days=30)]
        if recent.empty:
            assert np.isnan(row.last_arrival_delay)
            continue
        assert row.last_arrival_delay == known["arrival_delay"].iloc[-1]
        assert row.mean_arrival_delay == pytest.approx(known["arrival_delay"].iloc[-5:].mean())


def test_a_carriers_history_is_what_had_landed_at_the_decision(sampled, sources):
    landed = sources["carrier_history"].frame()

    for row in sampled.head(50).itertuples():
        known = landed[
            (landed["carrier"] == row.carrier) & (landed["known_time"] <= row.decided_at)
        ]
        if known.empty:
            assert np.isnan(row.late_share_day)
            continue
        day = known[known["known_time"] >= known["known_time"].max() - timedelta(days=1)]
        assert row.late_share_day == pytest.approx((day["arrival_delay"] > 15).mean())
        assert row.carrier_landings_day == len(day)


def test_the_weather_is_the_last_published_at_the_decision(sampled, sources):
    weather = sources["airport_weather"].frame()

    for row in sampled.itertuples():
        known = weather[
            (weather["origin"] == row.origin) & (weather["known_time"] <= row.decided_at)
        ]
        newest = known[known["event_time"] >= row.decided_at - timedelta(hours=6)]
        expected = newest.sort_values("event_time")["temp"].iloc[-1:].tolist() or [np.nan]
        assert row.temp == pytest.approx(expected[0], nan_ok=True)


def test_an_airports_congestion_is_what_was_known_at_the_last_full_hour(sampled, sources):
    flights = sources["airport_congestion"].frame()

    for row in sampled.head(50).itertuples():
        now = row.decided_at.floor("h")
        here = flights[flights["origin"] == row.origin]
        if now < here["scheduled_departure"].min().floor("h"):
            assert np.isnan(row.departed_last)
            continue
        left = here["departed_at"].between(now - timedelta(hours=3), now, inclusive="right")
        due = here["scheduled_departure"].between(now - timedelta(hours=3), now, inclusive="right")
        assert row.departed_last == left.sum()
        assert row.waiting == (due & ~(here["departed_at"] <= now)).sum()


def test_labels_that_were_not_known_when_the_next_set_began_are_purged(examples):
    train, validation, test, report = split_by_time(
        examples, validation_from=date(2013, 7, 1), test_from=date(2013, 9, 1), gap_hours=6
    )

    purged = report.document["purged"]
    assert train.rows + validation.rows + test.rows + sum(purged.values()) == examples.rows
    assert 0 < purged["train"] < 1_000
    assert train.frame()["label_known_at"].max() <= pd.Timestamp("2013-06-30T18:00Z")
    assert validation.frame()["label_known_at"].max() <= pd.Timestamp("2013-08-31T18:00Z")
