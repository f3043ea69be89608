"""This module puts copies on one side: all of them are kept for evaluation, or none of them is.

An item's place decides whether it is kept (`_evaluation_reserve`). Copies with names of their own
would have places of their own: one would be learnt from and the other judge what was learnt. So a
family of copies has one place, that of one of its rows. Which row may not depend on the places: to
take the least of k places would keep 1 - (1 - share)^k of the families of k, and so judge by what
occurs often. The row is drawn by a second hash, and every family is kept with the same chance,
whatever its size. A family is asked once: the random items are a uniform sample of distinct
contents. Its other rows come after everything else.

A copy that comes later may not move its family either. Once a row was asked, the family stays on
the side that the row was on: the first row is drawn among those that are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators._copies import Rows
from operators._evaluation_reserve import Members, Places, places


@dataclass(frozen=True, kw_only=True)
class Sides:
    """This is on which side rows are, `(n_rows,)` each.

    Attributes:
        place: The place of each row's family.
        reserved: Whether it is kept for evaluation.
        late: Whether it is a copy of a row that is done, or that is to be asked before it.
        families: Families of more than one row.
        copies: Rows in them.
        crossed: Families of which rows were done on both sides; they are kept for evaluation.
    """

    place: Places
    reserved: Members
    late: Members
    families: int
    copies: int
    crossed: int


def sides_of(
    entities: Sequence[str],
    family: Rows,
    *,
    share: float,
    salt: str,
    judged: Members,
    learnt: Members,
    done: Members,
) -> Sides:
    """Return on which side rows are; rows without copies are where their own place puts them.

    Args:
        entities: What the rows are.
        family: The number of each row's family.
        share: Share that is kept.
        salt: Of the reserve.
        judged: Rows that were asked to judge by.
        learnt: Rows that were asked to learn from.
        done: Rows that were asked; of those that are neither, their place says for what.
    """
    place = places(entities, salt)
    sizes = np.bincount(family)
    copied = sizes[family] > 1
    late = np.zeros(len(place), dtype=bool)
    if not copied.any():
        return Sides(
            place=place, reserved=place < share, late=late, families=0, copies=0, crossed=0
        )
    rows = np.flatnonzero(copied)
    drawn = np.full(len(place), 0.0)
    drawn[rows] = places([entities[int(row)] for row in rows], f"first of copies {salt}")
    order = np.lexsort((drawn, ~done, family))
    begins = np.flatnonzero(np.diff(family[order], prepend=-1))
    first = np.full(len(sizes), -1, dtype=np.int64)
    first[family[order[begins]]] = order[begins]
    place = place[first[family]]
    judges, teaches = _any(family, judged & copied), _any(family, learnt & copied)
    reserved = np.where(judges, True, np.where(teaches, False, place < share))
    late[rows] = (first[family] != np.arange(len(place)))[rows] | _any(family, done)[rows]
    return Sides(
        place=place,
        reserved=reserved,
        late=late,
        families=int((sizes > 1).sum()),
        copies=len(rows),
        crossed=len(np.unique(family[judges & teaches])),
    )


def _any(family: Rows, rows: npt.NDArray[np.bool_]) -> Members:
    """Return which rows are of a family that has one of these."""
    found: Members = np.isin(family, np.unique(family[rows]))
    return found
