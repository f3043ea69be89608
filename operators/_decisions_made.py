"""This module puts examples together from decisions, and counts what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.schemas import Column
from operators._decision_fates import Fates
from operators._decision_table import (
    CENSORED,
    FALLBACK,
    KNOWN,
    LABEL,
    OVERRIDDEN,
    WEIGHT,
    Wanted,
    outcome_columns,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def counts_of(
    rows: pa.Table, fates: Fates, wanted: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return how many decisions became examples or were left out, and why.

    Args:
        rows: Decisions.
        fates: What became of each.
        wanted: Which could become examples.
        kept: Which of them do.
    """
    import numpy as np

    given = rows[OVERRIDDEN].fill_null("").to_numpy(zero_copy_only=False) != ""
    fell = ~np.asarray(rows[FALLBACK].is_null())
    reasons = {
        "nothing was told": fates.silent,
        "told after the window": fates.late,
        "told to be unknown": fates.never,
    }
    return {
        "rows": rows.num_rows,
        "examples": int(kept.sum()),
        "labelled": int((kept & fates.labelled).sum()),
        "filled_or_censored": int((kept & ~fates.labelled).sum()),
        "immature": int(fates.immature.sum()),
        "unlabelled_by_reason": {why: int(flags.sum()) for why, flags in reasons.items()},
        "overridden": int((kept & given).sum()),
        "overridden_left_out": int((wanted & ~kept).sum()),
        "fallbacks": int((kept & fell).sum()),
    }


def examples_of(
    rows: pa.Table,
    columns: Sequence[tuple[Column, str]],
    *,
    fates: Fates,
    kept: npt.NDArray[np.bool_],
    wanted: Wanted,
    weights: npt.NDArray[np.float64] | None,
) -> pa.Table:
    """Return the examples.

    Args:
        rows: Decisions.
        columns: The columns of the examples, each with the one it is taken from.
        fates: What became of each decision.
        kept: Which become examples.
        wanted: What is asked for.
        weights: Of those that are kept; None for none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = rows.filter(pa.array(kept))
    of = outcome_columns(wanted.outcome)
    labelled = pa.array(fates.labelled[kept])
    closes = pa.array(fates.closes[kept]).cast(pa.timestamp("us", tz="UTC"))
    values = chosen[of.value].cast(pa.float64())
    filled = pa.scalar(wanted.fill, pa.float64())
    label = pc.if_else(labelled, values, filled)
    if wanted.above is not None:
        label = pc.greater(label, wanted.above).cast(pa.int64())
    elif pa.types.is_integer(chosen[of.value].type):
        label = label.cast(pa.int64())
    made: dict[str, Any] = {
        LABEL: label,
        KNOWN: pc.if_else(labelled, chosen[of.known_at], closes),
        CENSORED: pa.array(~fates.labelled[kept]),
        WEIGHT: None if weights is None else pa.array(weights),
    }
    return pa.table(
        {column.name: chosen[name] if name else made[column.name] for column, name in columns}
    )
