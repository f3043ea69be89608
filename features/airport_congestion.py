"""This view holds how busy and how delayed an airport of departure was, hour by hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Protocol

from features.entities import AIRPORT
from features.nycflights13 import Flight
from features.sql import HOUR, query
from features.view import FeatureView
from headrace import Col, Schema

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_HOURS = 3


class AirportCongestion(Schema, Protocol):
    """This is what was known of an airport's departures at a full hour."""

    scheduled_next: Annotated[
        int, Col(description=f"Departures scheduled in the next {WINDOW_HOURS} hours.")
    ]
    departed_last: Annotated[int, Col(description=f"Departures in the last {WINDOW_HOURS} hours.")]
    mean_delay_last: Annotated[
        float,
        Col(unit="min", description="Their mean delay; null when none left."),
    ]
    waiting: Annotated[
        int,
        Col(description=f"Scheduled in the last {WINDOW_HOURS} hours and not known to have left."),
    ]


def departures_by_hour(flights: pa.Table) -> pa.Table:
    """Count an airport's departures at each full hour, by what was known then.

    The schedule is known before; a departure, and its delay, from the moment it took place. Each
    flight is counted in the hours whose window it lies in, so that no window has to be searched.
    """
    span = WINDOW_HOURS * HOUR
    return query(
        f"""
        WITH clock AS (
            SELECT origin, unnest(range(
                min(scheduled_departure) // {HOUR} * {HOUR},
                max(scheduled_departure) + {HOUR},
                {HOUR}
            )) AS now
            FROM flights GROUP BY origin
        ), near AS (
            SELECT *, unnest(range(
                (scheduled_departure - {span}) // {HOUR} * {HOUR},
                scheduled_departure + {span},
                {HOUR}
            )) AS now
            FROM flights
        ), scheduled AS (
            SELECT origin, now,
                count(*) FILTER (scheduled_departure > now) AS scheduled_next,
                count(*) FILTER (
                    scheduled_departure <= now AND (departed_at IS NULL OR departed_at > now)
                ) AS waiting
            FROM near WHERE now >= scheduled_departure - {span} GROUP BY origin, now
        ), left_lately AS (
            SELECT *, unnest(range(
                departed_at // {HOUR} * {HOUR}, departed_at + {span}, {HOUR}
            )) AS now
            FROM flights WHERE departed_at IS NOT NULL
        ), departed AS (
            SELECT origin, now, count(*) AS departed_last, avg(departure_delay) AS mean_delay_last
            FROM left_lately WHERE now >= departed_at GROUP BY origin, now
        )
        SELECT origin, now AS event_time, now AS known_time,
            coalesce(scheduled_next, 0) AS scheduled_next,
            coalesce(departed_last, 0) AS departed_last,
            mean_delay_last,
            coalesce(waiting, 0) AS waiting
        FROM clock LEFT JOIN scheduled USING (origin, now) LEFT JOIN departed USING (origin, now)
        ORDER BY origin, now
        """,  # noqa: S608  the text is made of constants
        instants=("event_time", "known_time"),
        flights=flights,
    )


airport_congestion = FeatureView(
    name="airport_congestion",
    entities=(AIRPORT,),
    source=Flight,
    features=AirportCongestion,
    compute=departures_by_hour,
    ttl=timedelta(hours=6),
    owner="flight-delay",
    description="Departures scheduled, made and waiting at an airport, hour by hour.",
    tags=("delay", "congestion", "hourly"),
)
