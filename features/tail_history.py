"""This view holds how an aircraft's last flights went, from the moment each landing was known."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Protocol

from features.entities import TAIL
from features.nycflights13 import Landing
from features.sql import DAY, query
from features.view import FeatureView
from headrace import Col, Schema

if TYPE_CHECKING:
    import pyarrow as pa

LAST_FLIGHTS = 5


class TailHistory(Schema, Protocol):
    """This is what was known of an aircraft when it had landed."""

    last_arrival_delay: Annotated[
        float, Col(unit="min", description="Arrival delay of the last landing.")
    ]
    last_departure_delay: Annotated[
        float, Col(unit="min", description="Departure delay of the flight that landed last.")
    ]
    mean_arrival_delay: Annotated[
        float, Col(unit="min", description=f"Mean arrival delay of the last {LAST_FLIGHTS}.")
    ]
    tail_landings_day: Annotated[
        int, Col(description="Landings in the 24 hours before, itself too.")
    ]


def landings_of_aircraft(landings: pa.Table) -> pa.Table:
    """Make each landing an update of its aircraft, over what was known at that moment.

    Of landings known at the same moment one update is made, the last by scheduled departure.
    Flights without a tail number tell nothing about an aircraft and are left out.
    """
    return query(
        f"""
        SELECT tail, known_time AS event_time, known_time,
            arrival_delay AS last_arrival_delay,
            departure_delay AS last_departure_delay,
            avg(arrival_delay) OVER (
                so_far ROWS BETWEEN {LAST_FLIGHTS - 1} PRECEDING AND CURRENT ROW
            ) AS mean_arrival_delay,
            count(*) OVER (
                PARTITION BY tail ORDER BY known_time
                RANGE BETWEEN {DAY} PRECEDING AND CURRENT ROW
            ) AS tail_landings_day
        FROM landings
        WHERE tail IS NOT NULL
        WINDOW so_far AS (PARTITION BY tail ORDER BY known_time, event_time, flight_id)
        QUALIFY lead(known_time) OVER so_far IS DISTINCT FROM known_time
        ORDER BY tail, known_time
        """,  # noqa: S608  the text is made of constants
        instants=("event_time", "known_time"),
        landings=landings,
    )


tail_history = FeatureView(
    name="tail_history",
    entities=(TAIL,),
    source=Landing,
    features=TailHistory,
    compute=landings_of_aircraft,
    ttl=timedelta(days=30),
    owner="flight-delay",
    description="Delays of an aircraft's last flights, as known when it landed.",
    tags=("delay", "history"),
)
