"""This module holds the schemas that the corpus' flows pass around, and the rows behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

import pandas as pd

from headrace import Col, Schema
from headrace.grants import External


class Flights(Schema, Protocol):
    """Flights with their delay in minutes."""

    flight_id: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    landed_at: Annotated[datetime | None, Col(role="known_time")]
    carrier: Literal["UA", "AA"]
    seats: int
    distance: Annotated[float, Col(role="feature", unit="mi", known_at="decided_at")]
    delay: Annotated[float | None, Col(unit="min", known_at="landed_at")]


class Late(Flights, Protocol):
    """Flights with a label."""

    label: Annotated[int, Col(role="label")]


class Identified(Schema, Protocol):
    """What has an identity."""

    flight_id: Annotated[str, Col(role="entity")]


class Whole(Schema, Protocol):
    """Needs a delay in every row."""

    delay: Annotated[float, Col(unit="min")]


class Tailed(Schema, Protocol):
    """Needs a column that flights lack."""

    tail_number: str


class InSeconds(Schema, Protocol):
    """Needs the delay in seconds."""

    delay: Annotated[float | None, Col(unit="s")]


class Numbered(Schema, Protocol):
    """Needs the flight's identity as a number."""

    flight_id: int


class Known(Schema, Protocol):
    """Needs the landing as the decision."""

    landed_at: Annotated[datetime | None, Col(role="decision_time")]


class KnownEarly(Schema, Protocol):
    """Claims that the delay is known at the decision."""

    decided_at: Annotated[datetime, Col(role="decision_time")]
    delay: Annotated[float | None, Col(unit="min", known_at="decided_at")]


class LabelAsFeature(Schema, Protocol):
    """Takes the label for a feature."""

    label: Annotated[int, Col(role="feature")]


class DistanceAsLabel(Schema, Protocol):
    """Takes a feature for the label."""

    distance: Annotated[float, Col(role="label")]


class UnitedOnly(Schema, Protocol):
    """Knows one carrier."""

    carrier: Literal["UA"]


class Loose(Schema, Protocol):
    """Takes seats as a float and the carrier as any text."""

    seats: float
    carrier: str


class Counted(Schema, Protocol):
    """A count for each carrier."""

    carrier: str
    flights: int


class Miles(Schema, Protocol):
    """Needs whole miles."""

    distance: Annotated[int, Col(unit="mi")]


class Dimensionless(Schema, Protocol):
    """Needs a count with its unit said."""

    flights: Annotated[int, Col(unit="1")]


class Decided(Schema, Protocol):
    """Needs the decision."""

    decided_at: Annotated[datetime, Col(role="decision_time")]


def month_file(parameters: Mapping[str, Any]) -> Sequence[External]:
    """Say which file a month is read from."""
    name = f"file:flights/{parameters['month']}.csv"
    return [External(name=name, fingerprint=lambda: None)]


def two_flights() -> pd.DataFrame:
    """Return two flights, one of which has no delay."""
    at = pd.to_datetime(["2013-01-01T08:00Z", "2013-01-02T08:00Z"])
    return pd.DataFrame(
        {
            "flight_id": ["a", "b"],
            "decided_at": at,
            "landed_at": at + pd.Timedelta(hours=4),
            "carrier": ["UA", "AA"],
            "seats": [100, 200],
            "distance": [200.0, 700.0],
            "delay": [3.0, None],
        }
    )
