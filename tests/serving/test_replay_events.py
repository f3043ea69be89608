"""What a replay delivers, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from features.tail_history import tail_history
from headrace.errors import DataError
from headrace.schemas import Column, TableSchema
from serving._replay_events import (
    DECISION,
    FACT,
    OUTCOME,
    Asked,
    Steps,
    Told,
    decisions_of,
    facts_of,
    outcomes_of,
)

NOON = datetime(2013, 11, 1, 12, tzinfo=UTC)
NOON_US = 1_383_307_200_000_000
HOUR = timedelta(hours=1)
FLIGHTS = TableSchema(
    name="Flights",
    columns=(
        Column(name="flight_id", dtype="string", role="entity"),
        Column(name="decided_at", dtype="timestamp", role="decision_time"),
        Column(name="tail", dtype="string", nullable=True),
        Column(name="distance", dtype="float"),
    ),
)
ROWS = pa.table(
    {
        "flight_id": ["UA3", "UA1", "UA2"],
        "decided_at": pa.array([NOON + HOUR, NOON - HOUR, NOON], pa.timestamp("us", tz="UTC")),
        "tail": ["N3", None, "N2"],
        "distance": [300.0, 100.0, 200.0],
    }
)


def asked(**period: Any) -> list[Asked]:
    given: dict[str, Any] = {"since": NOON - HOUR, "until": None, "own": ["distance"]} | period
    return decisions_of(ROWS, FLIGHTS, keys=["tail"], **given)


def test_decisions_come_in_the_order_of_their_moments_with_keys_and_own_features():
    first, second, third = asked()

    assert [each.unit for each in (first, second, third)] == ["UA1", "UA2", "UA3"]
    assert second == Asked(
        unit="UA2",
        at_us=NOON_US,
        entity={"flight_id": "UA2", "tail": "N2"},
        features={"distance": 200.0},
    )
    assert first.entity == {"flight_id": "UA1", "tail": None}


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last():
    assert [each.unit for each in asked(since=NOON, until=NOON + HOUR)] == ["UA2"]


def test_a_period_without_decisions_is_refused():
    with pytest.raises(DataError) as refused:
        asked(since=NOON + 5 * HOUR, until=NOON + 6 * HOUR)

    assert str(refused.value) == (
        "There is no decision to replay from 2013-11-01T17:00:00+00:00 until "
        "2013-11-01T18:00:00+00:00.\n"
        "  Fix: Choose a period that the table covers."
    )


def test_rows_that_lack_what_a_model_takes_from_the_request_are_refused():
    with pytest.raises(DataError) as refused:
        asked(own=["distances"])

    assert str(refused.value) == (
        "The decisions to replay have no column 'distances', which a model of the endpoint takes "
        "from the request. Did you mean 'distance'?\n"
        "  Fix: Replay rows that have all values that a request would give."
    )


def test_outcomes_come_in_the_order_in_which_they_became_known_of_the_asked_units_only():
    schema = TableSchema(
        name="Labels",
        columns=(
            Column(name="flight_id", dtype="string", role="entity"),
            Column(name="known_at", dtype="timestamp", role="known_time"),
            Column(name="label", dtype="int", role="label"),
        ),
    )
    known = pa.array([NOON + 3 * HOUR, NOON + HOUR, NOON], pa.timestamp("us", tz="UTC"))
    labels = pa.table({"flight_id": ["UA1", "UA2", "UA9"], "known_at": known, "label": [1, 0, 1]})

    told = outcomes_of(labels, schema, {"UA1", "UA2", "UA3"})

    assert [(each.unit, each.value) for each in told] == [("UA2", 0.0), ("UA1", 1.0)]


def test_facts_are_those_that_became_known_within_the_time_and_the_end_belongs_to_it():
    us = pa.timestamp("us", tz="UTC")
    moments = [NOON, NOON + 2 * HOUR, NOON + HOUR, NOON + 3 * HOUR]
    rows = pa.table(
        {
            "tail": ["N1", "N2", "N3", "N4"],
            "event_time": pa.array(moments, us),
            "known_time": pa.array(moments, us),
            "expires_at": pa.array([moment + timedelta(days=30) for moment in moments], us),
            "last_arrival_delay": 4 * [1.0],
            "last_departure_delay": 4 * [1.0],
            "mean_arrival_delay": 4 * [1.0],
            "tail_landings_day": 4 * [1],
        }
    )
    hour_us = 3_600_000_000

    facts = facts_of([(tail_history, rows)], after_us=NOON_US, until_us=NOON_US + 2 * hour_us)

    assert [(moment - NOON_US) // hour_us for moment, _, _ in facts] == [1, 2]
    assert [row[0] for _, _, row in facts] == ["N3", "N2"]


def test_at_one_moment_facts_come_first_then_decisions_then_outcomes():
    decision = Asked(unit="UA1", at_us=NOON_US, entity={}, features={})
    steps = Steps(
        facts=[(NOON_US, tail_history, ("N1",)), (NOON_US + 1, tail_history, ("N1",))],
        decisions=[decision],
        outcomes=[Told(unit="UA1", known_us=NOON_US, value=1.0)],
    )

    assert list(steps.in_order()) == [
        (NOON_US, FACT, 0),
        (NOON_US, DECISION, 0),
        (NOON_US, OUTCOME, 0),
        (NOON_US + 1, FACT, 1),
    ]
    assert steps.ends_us == NOON_US
