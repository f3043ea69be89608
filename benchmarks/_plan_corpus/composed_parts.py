"""This module holds the subflows and odd operators of the flows in `composed`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Protocol

import pandas as pd

from benchmarks._plan_corpus import parts as p
from benchmarks._plan_corpus.parts import S
from headrace import (
    Col,
    Examples,
    Labels,
    Model,
    Partitions,
    Report,
    Schema,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
    flow,
    operator,
)
from headrace.schemas import Column


class InMinutes(Schema, Protocol):
    """Needs the delay in minutes."""

    delay: Annotated[float | None, Col(unit="min")]


class LateAsFeature(Schema, Protocol):
    """Takes the label, under another name, for a feature."""

    late: Annotated[int, Col(role="feature")]


class Undecided(Schema, Protocol):
    """Learns from what is known with the outcome, of a decision that is not declared."""

    flight_id: Annotated[str, Col(role="entity")]
    landed_at: Annotated[datetime, Col(role="known_time")]
    air_time: Annotated[float, Col(role="feature", known_at="landed_at")]
    label: Annotated[int, Col(role="label")]


class KnownLate(Undecided, Protocol):
    """Learns from what is known after the decision."""

    decided_at: Annotated[datetime, Col(role="decision_time")]


def frame() -> pd.DataFrame:
    """Return a frame, as a body might make one."""
    return pd.DataFrame({"delay": [1.0]})


def _known_late() -> pd.DataFrame:
    at = pd.to_datetime(["2013-01-01T08:00Z"])
    return pd.DataFrame(
        {"flight_id": ["a"], "landed_at": at, "air_time": [1.0], "label": [1], "decided_at": at}
    )


@operator(adds=(Column(name="seats", dtype="string"),))
def seats_in_words(rows: Table[S]) -> Table[S]:
    """Write the number of seats in words."""
    return Table.of(rows.frame().assign(seats="many"))


@operator(adds=(Column(name="delay", dtype="float", unit="s", nullable=True),))
def in_seconds_now(rows: Table[S]) -> Table[S]:
    """Convert the delay to seconds."""
    made = rows.frame()
    return Table.of(made.assign(delay=made["delay"] * 60))


@operator()
def in_minutes(rows: Table[InMinutes]) -> Report:
    """Sum the delays in minutes."""
    return Report.of({"passed": True, "sum": float(rows.frame()["delay"].sum())})


@operator(renames={"label": "late"})
def label_renamed(rows: Labels[S]) -> Labels[S]:
    """Call the label late."""
    return Labels.of(rows.frame().rename(columns={"label": "late"}))


@operator()
def late_as_feature(rows: Labels[LateAsFeature]) -> Report:
    """Learn from what is to be predicted."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def late_sets() -> tuple[TrainSet[KnownLate], ValidationSet[KnownLate]]:
    """Make sets whose feature is known too late."""
    return TrainSet.of(_known_late()), ValidationSet.of(_known_late())


@operator()
def late_examples() -> Examples[KnownLate]:
    """Make examples whose feature is known too late."""
    return Examples.of(_known_late())


@operator()
def undecided_sets() -> TrainSet[Undecided]:
    """Make a set whose feature is known with the outcome."""
    return TrainSet.of(_known_late())


@operator()
def test_days(rows: TestSet[S]) -> Partitions[TestSet[S]]:
    """Part the test set by day."""
    days = rows.frame().groupby(rows.frame()["decided_at"].dt.date)
    return Partitions.of({str(day): TestSet.of(found) for day, found in days})


@flow
def fitted(train: TrainSet[Any], *, depth: int = 3) -> Model:
    """Fit a classifier in a subflow."""
    return p.fit(train, depth=depth)  # mistake of the caller's


@flow
def tails(rows: Table[Any]) -> Report:
    """Count aircraft in a subflow."""
    return p.by_tail(rows)  # mistake of the caller's


@flow
def seconds(rows: Table[Any]) -> Report:
    """Sum delays in seconds in a subflow."""
    return p.in_seconds(rows)  # mistake of the caller's


@flow
def on_many_gpus(train: TrainSet[Any]) -> Report:
    """Need GPUs in a subflow."""
    return p.on_gpus(train)  # mistake of the caller's


@flow(grants=["file:*"])
def month_of(*, month: int = 1) -> Table[Any]:
    """Read a month's file."""
    return p.flights_from_file(month=month)  # mistake of the caller's
