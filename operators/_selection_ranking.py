"""This module ranks the rows that may be learnt from: by doubt, by unlikeness, copies last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, Table
from headrace.errors import DefinitionError
from operators._evaluation_reserve import places
from operators._selection_diversity import spread
from operators._selection_pool import Pool
from operators._selection_vectors import MEASURED, vectors

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_TAKEN = 1_000  # rows that are done and kept away from; more tell little and cost much
_TIMES = 10  # as many of the most doubtful as are chosen among by what they are like


@dataclass(frozen=True, kw_only=True)
class Setting:
    """This is how items are chosen.

    Args:
        strategy: The strategy that is used, a cold start's where there is no model.
        columns: What rows are compared by; empty for the features.
        seed: Breaks ties and draws.
        suggest_random: Whether random items carry a suggestion.
    """

    strategy: str
    columns: tuple[str, ...]
    seed: int
    suggest_random: bool


def ranked_rows(
    table: Table[Any],
    frame: pd.DataFrame,
    pool: Pool,
    *,
    count: int,
    setting: Setting,
    scores: Floats | None,
    scoring: Sequence[Model],
) -> Rows:
    """Return which of the rest are chosen, as positions among the rest, in order."""
    tie = places([pool.entities[row] for row in pool.rest], f"tie {setting.seed}")
    if not count:
        return np.empty(0, dtype=np.int64)
    if setting.strategy == "random":
        return np.lexsort((tie, pool.sides.late[pool.rest]))[:count]
    columns = _compared(table, setting, scoring)
    late = _copies(frame, columns, pool, tie if scores is None else -scores, tie)
    ranked = np.lexsort((tie, late) if scores is None else (tie, -scores, late))
    if setting.strategy != "diversity":
        return ranked[:count]
    if table.schema is None or not columns:
        raise DefinitionError(
            "Nothing says what rows are to be compared by.",
            remedy="Give `columns`, or columns the role 'feature'.",
        )
    # the order of the table may not matter, so candidates come by doubt, else by their hash
    few = ranked[: max(_TIMES * count, 100)] if scores is not None else ranked
    taken = pool.done[np.argsort(places([pool.entities[row] for row in pool.done]))][:_TAKEN]
    matrix = vectors(frame.iloc[np.concatenate([pool.rest[few], taken])], columns, table.schema)
    order = spread(
        matrix[: len(few)],
        count,
        taken=matrix[len(few) :],
        weights=None if scores is None else scores[few],
        rng=np.random.default_rng(setting.seed),
    )
    return few[order]


def _compared(table: Table[Any], setting: Setting, scoring: Sequence[Model]) -> tuple[str, ...]:
    if setting.columns or table.schema is None:
        return setting.columns
    if scoring:
        return scoring[0].card.feature_names
    return tuple(c.name for c in table.schema.with_role("feature") if c.dtype in MEASURED)


def _copies(
    frame: pd.DataFrame, columns: Sequence[str], pool: Pool, *by: Floats
) -> npt.NDArray[np.bool_]:
    """Return which of the rest are copies of a row that is done, or comes before them."""
    from pandas.util import hash_pandas_object

    known = pool.sides.late[pool.rest]
    if not columns:
        return known
    looks = hash_pandas_object(frame[list(columns)], index=False).to_numpy()
    order = np.lexsort((*reversed(by), known))
    _, first = np.unique(looks[pool.rest][order], return_index=True)
    late = np.ones(len(pool.rest), dtype=bool)
    late[order[first]] = False
    late |= np.isin(looks[pool.rest], looks[pool.done])
    return late | known
