"""This module says how many seconds of people an item takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Table
from headrace.errors import DataError
from operators._route_people import People

Floats = npt.NDArray[np.float64]


def costs_of(
    table: Table[Any], items: list[str], answered: set[str], people: People, effort: str | None
) -> Floats:
    """Return the seconds of people that each item takes.

    Raises:
        DataError: The effort of an item is missing, or not above 0.
    """
    each = people.seconds * people.votes
    if effort is None:
        return np.full(len(items), each)
    values = table.arrow()[effort].to_numpy().astype(np.float64)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"The effort '{effort}' is {values[row]:g} in row {row:,}; it takes numbers above 0.",
            remedy="Fill it in, or leave out `effort`.",
        )
    # the seconds were measured on items of this much effort
    seen = np.array([item in answered for item in items], dtype=bool)
    usual = values[seen].mean() if seen.any() else values.mean()
    costs: Floats = each * values / usual
    return costs
