"""This operator reads orders from a CSV file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from headrace import Col, Schema, Table, operator
from operators.ingest import file_in, load_csv

_DAY_SECONDS = 86_400.0


class OrderLines(Schema, Protocol):
    """This is an order as the file has it."""

    order: str
    shop: str
    pieces: int
    ordered_at: datetime
    delivered_at: datetime


class Orders(Schema, Protocol):
    """This is an order: what was known when it was made, and what came of it."""

    order: Annotated[str, Col(role="entity")]
    shop: Annotated[str, Col(known_at="ordered_at", description="Where it was ordered.")]
    pieces: Annotated[int, Col(role="feature", known_at="ordered_at")]
    ordered_at: Annotated[datetime, Col(role="decision_time")]
    delivered_at: Annotated[datetime, Col(role="known_time")]
    days: Annotated[float, Col(unit="d", known_at="delivered_at", description="Until delivery.")]


@operator(reads=file_in("path"))
def read_orders(*, path: str) -> Table[Orders]:
    """Read orders, and how many days each took.

    Args:
        path: A CSV file with the columns of `OrderLines`, times with their zone.
    """
    lines = load_csv(path, schema=OrderLines)
    seconds = pc.seconds_between(lines["ordered_at"], lines["delivered_at"])
    days = pc.divide(pc.cast(seconds, pa.float64()), _DAY_SECONDS)
    return Table[Orders].of(lines.append_column("days", days))
