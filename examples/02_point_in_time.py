"""Features as they were known: a view, a correction that came later, and a leak the plan refuses.

    python examples/02_point_in_time.py

A reading has two times: the moment it is about (`event_time`), and the moment from which anybody
could use it (`known_time`). The join asks what was known at each decision; nobody has to remember
to shift a column.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

import pyarrow as pa

from features.view import Entity, FeatureView
from headrace import Col, Examples, HeadraceError, Labels, Schema, Table, flow, operator
from operators.build import build
from operators.compute_features import compute_features


class Readings(Schema, Protocol):
    station: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time", description="when it was measured")]
    known_time: Annotated[datetime, Col(role="known_time", description="when it was published")]
    level: Annotated[float | None, Col(unit="m", known_at="known_time")]


class RiverLevel(Schema, Protocol):
    level: Annotated[float | None, Col(unit="m", description="Water level.")]


def as_published(readings: pa.Table) -> pa.Table:
    """Take the readings as they are."""
    return readings


# A view is data plus one pure function. A row is used for six hours, then it is too old.
river_level = FeatureView(
    name="river_level",
    entities=(Entity(name="station", column="station"),),
    source=Readings,
    features=RiverLevel,
    compute=as_published,
    ttl=timedelta(hours=6),
    owner="examples",
    description="Last published water level at a station.",
)


class Warnings(Schema, Protocol):
    warning: Annotated[str, Col(role="entity")]
    station: Annotated[str, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    flooded_at: Annotated[datetime, Col(role="known_time")]
    flood: Annotated[int, Col(role="label")]


class Leaking(Warnings, Protocol):
    """The same with a feature that is known only when the flood is."""

    damage: Annotated[float, Col(role="feature", known_at="flooded_at")]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}:00+00:00")


@operator()
def readings() -> Table[Readings]:
    """Give three readings; the one of 8 o'clock is corrected, long after it was used."""
    return Table[Readings].of(
        {
            "station": ["bridge", "bridge", "bridge"],
            "event_time": [at("08:00"), at("08:00"), at("12:00")],
            "known_time": [at("08:10"), at("11:30"), at("12:10")],
            "level": [2.0, 2.9, 3.4],
        }
    )


@operator()
def warnings_given() -> Labels[Warnings]:
    """Give four moments at which somebody had to decide whether to warn."""
    return Labels[Warnings].of(_rows())


@operator()
def warnings_that_leak() -> Labels[Leaking]:
    """Give the same moments, with the damage done: a value from the future."""
    return Labels[Leaking].of({**_rows(), "damage": [0.0, 1.0, 2.0, 0.0]})


def _rows() -> dict[str, list[object]]:
    return {
        "warning": ["early", "first", "corrected", "too old"],
        "station": ["bridge"] * 4,
        "decided_at": [at("08:05"), at("09:00"), at("12:05"), at("18:30")],
        "flooded_at": [at("23:00")] * 4,
        "flood": [0, 1, 1, 0],
    }


@flow
def examples_as_known() -> Examples[Any]:
    """Join the view to the decisions, each value as it was known."""
    return build(warnings_given(), [compute_features(readings(), view=river_level)])


@flow
def examples_that_leak() -> Examples[Any]:
    """The same with the leak: this plan is refused before anything runs."""
    return build(warnings_that_leak(), [compute_features(readings(), view=river_level)])


if __name__ == "__main__":
    rows = examples_as_known.run().returned().frame()
    for row in rows.itertuples():
        print(f"{row.warning:<10} decided at {row.decided_at:%H:%M} knowing level {row.level}")

    try:
        examples_that_leak.run()
    except HeadraceError as error:
        print()
        print(error)
