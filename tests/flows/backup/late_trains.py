"""A flow of two nodes, run to fill a home."""

from __future__ import annotations

from typing import Annotated, Protocol

import pandas as pd

from headrace import Col, Schema, Table, flow, operator


class Trains(Schema, Protocol):
    """Trains with their delay."""

    train: Annotated[str, Col(role="entity")]
    delay: Annotated[float, Col(unit="min")]


@operator()
def trains(*, count: int) -> Table[Trains]:
    """Make up trains.

    Args:
        count: Number of trains.
    """
    names = [f"T{number}" for number in range(count)]
    delays = [float(number % 7) for number in range(count)]
    return Table[Trains].of(pd.DataFrame({"train": names, "delay": delays}))


@operator()
def late(trains: Table[Trains], *, above: float) -> Table[Trains]:
    """Keep the late trains.

    Args:
        trains: Trains.
        above: Least delay, in minutes, not included.
    """
    rows = trains.frame()
    return Table[Trains].of(rows[rows["delay"] > above])


@flow
def late_trains(*, count: int = 50) -> Table[Trains]:
    """Find late trains.

    Args:
        count: Number of trains.
    """
    return late(trains(count=count), above=3.0)
