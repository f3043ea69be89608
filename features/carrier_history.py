"""This view holds how punctual an airline was lately, over the landings known at each moment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Protocol

from features.entities import CARRIER
from features.nycflights13 import Landing
from features.sql import DAY, query
from features.view import FeatureView
from headrace import Col, Schema

if TYPE_CHECKING:
    import pyarrow as pa

LATE_MINUTES = 15


class CarrierHistory(Schema, Protocol):
    """This is what was known of an airline's landings at a moment."""

    late_share_day: Annotated[
        float, Col(description=f"Share over {LATE_MINUTES} min late, landings of 24 hours.")
    ]
    late_share_week: Annotated[
        float, Col(description=f"Share over {LATE_MINUTES} min late, landings of 7 days.")
    ]
    mean_delay_day: Annotated[
        float, Col(unit="min", description="Mean arrival delay, landings of 24 hours.")
    ]
    carrier_landings_day: Annotated[int, Col(description="Landings of 24 hours.")]


def landings_of_carriers(landings: pa.Table) -> pa.Table:
    """Make every moment at which a landing became known an update of its airline."""
    return query(
        f"""
        SELECT DISTINCT carrier, known_time AS event_time, known_time,
            avg(CAST(arrival_delay > {LATE_MINUTES} AS INT)) OVER day AS late_share_day,
            avg(CAST(arrival_delay > {LATE_MINUTES} AS INT)) OVER week AS late_share_week,
            avg(arrival_delay) OVER day AS mean_delay_day,
            count(*) OVER day AS carrier_landings_day
        FROM landings
        WINDOW
            day AS (PARTITION BY carrier ORDER BY known_time
                    RANGE BETWEEN {DAY} PRECEDING AND CURRENT ROW),
            week AS (PARTITION BY carrier ORDER BY known_time
                    RANGE BETWEEN {7 * DAY} PRECEDING AND CURRENT ROW)
        ORDER BY carrier, known_time
        """,  # noqa: S608  the text is made of constants
        instants=("event_time", "known_time"),
        landings=landings,
    )


carrier_history = FeatureView(
    name="carrier_history",
    entities=(CARRIER,),
    source=Landing,
    features=CarrierHistory,
    compute=landings_of_carriers,
    ttl=timedelta(days=7),
    owner="flight-delay",
    description="Share of an airline's recent landings that were late, as known by then.",
    tags=("delay", "history"),
)
