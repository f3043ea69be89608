"""This view holds the hourly weather at the airport of departure. Copy it to add a view."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Protocol

from features.entities import AIRPORT
from features.nycflights13 import Weather
from features.view import FeatureView
from headrace import Col, Schema

if TYPE_CHECKING:
    import pyarrow as pa


class AirportWeather(Schema, Protocol):
    """This is the weather at an airport in one hour, null where an instrument gave nothing."""

    temp: Annotated[float | None, Col(unit="°F", description="Air temperature.")]
    humid: Annotated[float | None, Col(unit="%", description="Relative humidity.")]
    wind_speed: Annotated[float | None, Col(unit="mph", description="Mean wind speed.")]
    wind_gust: Annotated[float | None, Col(unit="mph", description="Gusts; null when calm.")]
    precip: Annotated[float | None, Col(unit="in", description="Precipitation in the hour.")]
    pressure: Annotated[float | None, Col(unit="mbar", description="Pressure at sea level.")]
    visib: Annotated[float | None, Col(unit="mi", description="Visibility, at most 10.")]


def observations(weather: pa.Table) -> pa.Table:
    """Take the observations as they are: each is about its hour and known when published."""
    return weather


airport_weather = FeatureView(
    name="airport_weather",
    entities=(AIRPORT,),
    source=Weather,
    features=AirportWeather,
    compute=observations,
    ttl=timedelta(hours=6),
    owner="flight-delay",
    description="Last published hourly weather at the airport of departure.",
    tags=("weather", "hourly"),
)
