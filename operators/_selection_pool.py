"""This module says which rows of a pool may still be asked for, and which to evaluate by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Tabular
from headrace.errors import DataError
from operators._copies import copied_by, families_of, texts_of
from operators._evaluation_families import Sides, sides_of
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
        fresh: How many of the open reserve are no copies of each other or of what is done.
        sides: On which side rows are, copies of each other on the same one.
    """

    entities: tuple[str, ...]
    done: Rows
    reserve: Rows
    rest: Rows
    reserved: int
    done_elsewhere: int
    fresh: int
    sides: Sides

    @property
    def left(self) -> int:
        """How many rows may still be asked for."""
        return len(self.reserve) + len(self.rest)


def pool_of(
    table: Tabular[Any], done: Tabular[Any] | None, *, share: float, salt: str, near: bool = False
) -> Pool:
    """Sort the rows of a table by what may become of them.

    Args:
        table: The rows.
        done: What was asked before.
        share: Share of the families of rows that is kept for evaluation.
        salt: Of the reserve.
        near: Whether rows whose texts are nearly the same are of one family too.

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
    judged = _drawn(done)
    sides = sides_of(
        entities,
        _families(table, near=near),
        share=share,
        salt=salt,
        judged=np.array([entity in judged for entity in entities], dtype=bool),
        learnt=np.array([entity in known and entity not in judged for entity in entities])
        & _has_slices(done),
        done=is_done,
    )
    reserved = sides.reserved
    waiting = np.flatnonzero(reserved & ~is_done)
    asked = np.lexsort((sides.place[waiting], sides.late[waiting]))
    return Pool(
        entities=tuple(entities),
        done=np.flatnonzero(is_done),
        reserve=waiting[asked],
        rest=np.flatnonzero(~reserved & ~is_done),
        reserved=int(reserved.sum()),
        done_elsewhere=len(known.difference(entities)),
        fresh=int((~sides.late[waiting]).sum()),
        sides=sides,
    )


def _families(table: Tabular[Any], *, near: bool) -> Rows:
    if table.schema is None:
        return np.arange(table.rows, dtype=np.int64)
    rows = table.arrow()
    families = families_of(rows, copied_by(table.schema))
    texts = texts_of(table.schema)
    if not near or not texts:
        return families
    from operators._near_copies import near_families

    columns = [rows[name].to_pylist() for name in texts]
    joined = [" ".join(text or "" for text in each) for each in zip(*columns, strict=True)]
    return near_families(joined, families)


def _has_slices(done: Tabular[Any] | None) -> bool:
    return done is not None and "slice" in done.arrow().column_names


def _drawn(done: Tabular[Any] | None) -> set[str]:
    """Return the items that were asked to judge by, where what is done says so."""
    if done is None or not _has_slices(done):
        return set()
    slices = done.arrow()["slice"].to_pylist()
    named = entities_of(done, "table of what is done")
    return {entity for entity, each in zip(named, slices, strict=True) if each == "random"}


def shares_of(pool: Pool, *, size: int, random_share: float, takes_less: bool) -> tuple[int, int]:
    """Return how many random and how many chosen items a batch has.

    Where one sort has too few rows left the other fills the batch. A copy of what judges judges
    nothing more, so such rows of the reserve come after all others.

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
    random = min(wanted, pool.fresh)
    chosen = min(size - random, len(pool.rest))
    if wanted:
        random = min(size - chosen, len(pool.reserve))
    return random, chosen
