"""This module holds what a split by time asks of its boundaries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.errors import DataError, ParameterError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]

NEVER = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(value: date | datetime) -> int:
    """Return a boundary as microseconds since 1970, UTC; a date is its midnight."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value - _EPOCH) // timedelta(microseconds=1)


def shown(microseconds_: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(microseconds=microseconds_)).isoformat()


def microseconds(table: pa.Table, column: str) -> Ints:
    """Return a time column as microseconds since 1970, UTC; a null is `NEVER`."""
    import pyarrow as pa

    times = table.column(column).cast(pa.timestamp("us", tz="UTC"))
    as_numbers: Ints = times.cast(pa.int64()).fill_null(NEVER).to_numpy()
    return as_numbers


def require_order(
    validation_from: date | datetime,
    test_from: date | datetime,
    until: date | datetime | None,
    gap_hours: float,
) -> None:
    """Refuse boundaries without a zone or out of order, and a negative gap."""
    named = {"validation_from": validation_from, "test_from": test_from, "until": until}
    given = {n: v for n, v in named.items() if v is not None}
    for name, value in given.items():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ParameterError(
                f"The boundary {name} is {value.isoformat()}, which has no time zone.",
                remedy="Give an aware time such as 2013-10-01T00:00:00Z, or a date (midnight UTC).",
            )
    ordered = list(given.items())
    for (before, low), (after, high) in itertools.pairwise(ordered):
        if moment(low) >= moment(high):
            raise ParameterError(
                f"The boundaries are out of order: {before} is {low.isoformat()} and {after} is "
                f"{high.isoformat()}.",
                remedy=f"Put {before} before {after}.",
            )
    if not gap_hours >= 0:
        raise ParameterError(f"The gap is {gap_hours:g} hours.", remedy="Use zero or more hours.")


def require_inside(decided: Ints, boundaries: Mapping[str, int]) -> None:
    """Refuse a boundary outside the data, saying the data's range."""
    first, last = int(decided.min()), int(decided.max())
    for name, boundary in boundaries.items():
        if not first < boundary <= last:
            raise DataError(
                f"The boundary {name} is {shown(boundary)}, outside the data: its decisions run "
                f"from {shown(first)} to {shown(last)}.",
                remedy="Choose a boundary between the two.",
            )
