"""This module says which rows of a pool may still be asked for, and which to evaluate by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Tabular
from headrace.errors import DataError
from operators._evaluation_reserve import places
from operators._selection_entities import entities_of, entity_column, refuse_twice

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """These are the rows of a table by what may become of them, as row numbers.

    Args:
        entities: What each row is, as text.
        done: Rows that were labelled or asked for before.
        reserve: Open rows of the evaluation reserve, in the order in which they are asked for.
        rest: Open rows that may be learnt from, in the order of the table.
        reserved: Rows of the reserve, done ones included.
        done_elsewhere: Items that were done and are not in the table.
    """

    entities: tuple[str, ...]
    done: Rows
    reserve: Rows
    rest: Rows
    reserved: int
    done_elsewhere: int

    @property
    def left(self) -> int:
        """How many rows may still be asked for."""
        return len(self.reserve) + len(self.rest)


def pool_of(table: Tabular[Any], done: Tabular[Any] | None, *, share: float, salt: str) -> Pool:
    """Sort the rows of a table by what may become of them.

    Raises:
        DefinitionError: The table or what is done has no one column of role entity.
        DataError: The table is empty, or an item is in it twice or without a name.
    """
    if not table.rows:
        raise DataError(
            "The table to select from has no rows.", remedy="Check what was read or filtered."
        )
    entities = entities_of(table, "table")
    refuse_twice(entities, entity_column(table, "table"))
    known = set() if done is None else set(entities_of(done, "table of what is done"))
    is_done = np.array([entity in known for entity in entities], dtype=bool)
    place = places(entities, salt)
    reserved = place < share
    waiting = np.flatnonzero(reserved & ~is_done)
    return Pool(
        entities=tuple(entities),
        done=np.flatnonzero(is_done),
        reserve=waiting[np.argsort(place[waiting], kind="stable")],
        rest=np.flatnonzero(~reserved & ~is_done),
        reserved=int(reserved.sum()),
        done_elsewhere=len(known.difference(entities)),
    )


def shares_of(pool: Pool, *, size: int, random_share: float, takes_less: bool) -> tuple[int, int]:
    """Return how many random and how many chosen items a batch has.

    Where one sort has too few rows left the other fills the batch.

    Raises:
        DataError: Fewer rows are left than asked for, unless less may be taken; or none is.
    """
    if size > pool.left and not (takes_less and pool.left):
        raise DataError(
            f"{size:,} items are asked for, but of {len(pool.entities):,} rows {len(pool.done):,} "
            f"are done and {pool.left:,} are left: {len(pool.reserve):,} of the evaluation reserve "
            f"and {len(pool.rest):,} others.",
            remedy='Ask for fewer, give when_short="take", or add rows.'
            if pool.left
            else "Add rows; every one of these was labelled or asked for.",
        )
    size = min(size, pool.left)
    wanted = int(size * random_share + 0.5)
    random = min(wanted, len(pool.reserve)) if wanted else 0
    chosen = min(size - random, len(pool.rest))
    if wanted:
        random = min(size - chosen, len(pool.reserve))
    return random, chosen
