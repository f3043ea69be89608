"""This module holds observations as they were known at a moment: one row each, the newest version.

An observation may be told several times. Rows with one id are its versions; without ids, rows about
one entity and one event time are. Of those known at the moment the one known last holds, and of
several known at once the one that stands last in the table. Who tells the same again says nothing
new: the outcome is known since it was told first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

# a moment after all others, in microseconds since 1970: for what is never known
NEVER = (1 << 62) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """These are rows of observations, as they are in the table.

    Args:
        row: Where each stands in the table, from 0.
        entity: Number of the entity, -1 for none that was decided about.
        event: When it happened, in microseconds since 1970.
        known: When this was known, likewise.
        value: The outcome, NaN where there is none.
        identity: Number of the observation's id; None where observations have no ids.
    """

    row: Ints
    entity: Ints
    event: Ints
    known: Ints
    value: Floats
    identity: Ints | None

    def only(self, kept: Flags | Ints) -> Told:
        """Return some of the rows."""
        identity = None if self.identity is None else self.identity[kept]
        return Told(
            row=self.row[kept],
            entity=self.entity[kept],
            event=self.event[kept],
            known=self.known[kept],
            value=self.value[kept],
            identity=identity,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """These are observations as they are known, by entity, event and when first heard of.

    Args:
        entity: Number of the entity.
        event: When it happened, in microseconds since 1970.
        first_known: When it was first heard of.
        first_valued: When it first had an outcome; `NEVER` where it has none now.
        known: Since when what holds now has been known.
        value: The outcome that holds now, NaN where there is none.
        superseded: How many rows were replaced by newer ones that say otherwise.
        repeated: How many rows say what the one before them said.
    """

    entity: Ints
    event: Ints
    first_known: Ints
    first_valued: Ints
    known: Ints
    value: Floats
    superseded: int
    repeated: int


def newest_versions(told: Told) -> Observed:
    """Return each observation once, as its newest version has it.

    Raises:
        DataError: Two rows with one id are about different entities or moments.
    """
    import numpy as np

    if told.identity is None:
        order = np.lexsort((told.row, told.known, told.event, told.entity))
        told = told.only(order)
        begins = _changes(told.entity) | _changes(told.event)
    else:
        order = np.lexsort((told.row, told.known, told.identity))
        begins = _changes(told.identity[order])
        told = told.only(order)
        _require_one_event(told, begins)
    if not len(begins):
        return _observed(told, told.known, told.known, superseded=0, repeated=0)
    starts = np.flatnonzero(begins)
    newest = np.append(starts[1:], len(begins)) - 1
    news = begins | ~_same_as_before(told.value)
    since = np.maximum.accumulate(np.where(news, np.arange(len(news)), 0))[newest]
    valued = np.where(np.isnan(told.value), NEVER, told.known)
    first_valued = np.where(
        np.isnan(told.value[newest]), NEVER, np.minimum.reduceat(valued, starts)
    )
    first_known, current = told.known[starts], told.only(since)
    order = np.lexsort((current.row, first_known, current.event, current.entity))
    return _observed(
        current.only(order),
        first_known[order],
        first_valued[order],
        superseded=int(news.sum()) - len(starts),
        repeated=int((~news).sum()),
    )


def _observed(
    current: Told, first_known: Ints, first_valued: Ints, *, superseded: int, repeated: int
) -> Observed:
    return Observed(
        entity=current.entity,
        event=current.event,
        first_known=first_known,
        first_valued=first_valued,
        known=current.known,
        value=current.value,
        superseded=superseded,
        repeated=repeated,
    )


def _same_as_before(values: Floats) -> Flags:
    import numpy as np

    same = np.zeros(len(values), dtype=bool)
    same[1:] = values[1:] == values[:-1]
    same[1:] |= np.isnan(values[1:]) & np.isnan(values[:-1])
    return same


def _changes(numbers: Ints) -> Flags:
    import numpy as np

    changes = np.ones(len(numbers), dtype=bool)
    changes[1:] = numbers[1:] != numbers[:-1]
    return changes


def _require_one_event(told: Told, begins: Flags) -> None:
    wrong = ~begins & (_changes(told.entity) | _changes(told.event))
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"Rows {told.row[at - 1]:,} and {told.row[at]:,} of the observations have one id but "
            "are about different entities or moments; a correction changes the outcome alone.",
            remedy="Correct the first to a null outcome, and tell what happened under another id.",
        )
