"""This module computes metrics for parts of a set: each value of a column by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from headrace.models import ModelCard
from operators._encoding import Vector
from operators._intervals import Blocks, block_codes, metric_intervals
from operators._metrics import metrics_of

if TYPE_CHECKING:
    import pandas as pd

# A page shows so many rows; a model's card is read by people.
_FEW_VALUES = 20
MOST_VALUES = 50
SLICE_METRICS = {
    "classification": ("auc", "log_loss", "brier", "positive_rate"),
    "estimation": ("rmse", "mae"),
}


def card_slices(
    card: ModelCard, frame: pd.DataFrame, target: Vector, score: Vector
) -> tuple[dict[str, Any], ...]:
    """Return the metrics of each value of every category feature with at most 20 values.

    Returns:
        [{column, value, rows, metrics}]; a null is a value of its own (None).
    """
    found = []
    for feature in card.features:
        if feature.categories is None or len(feature.categories) > _FEW_VALUES:
            continue
        for value, rows in _parts(frame[feature.name], set(feature.categories)):
            metrics = metrics_of(card.task, target[rows], score[rows])
            found.append(
                {
                    "column": feature.name,
                    "value": value,
                    "rows": int(rows.sum()),
                    "metrics": {n: metrics[n] for n in SLICE_METRICS[card.task]},
                }
            )
    return tuple(found)


def slice_intervals(
    card: ModelCard,
    frame: pd.DataFrame,
    target: Vector,
    score: Vector,
    blocks: Blocks | None,
    *,
    columns: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Return the metrics, with day-block intervals, of each value of some columns.

    Raises:
        DataError: A column has more than 50 values.
    """
    found = []
    for column in columns:
        distinct = int(frame[column].nunique())
        if distinct > MOST_VALUES:
            raise DataError(
                f"Slice column '{column}' has {distinct:,} values; at most {MOST_VALUES} are "
                "shown.",
                remedy="Slice by a column with fewer values, such as a group of them.",
            )
        for value, rows in _parts(frame[column], None):
            within = None if blocks is None else block_codes(blocks[rows])
            metrics = metric_intervals(
                card.task, target[rows], score[rows], within, confidence=confidence
            )
            found.append(
                {
                    "column": column,
                    "value": value,
                    "rows": int(rows.sum()),
                    "metrics": {n: metrics[n] for n in SLICE_METRICS[card.task]},
                }
            )
    return found


def _parts(
    values: pd.Series[Any], known: set[str] | None
) -> Iterator[tuple[Any, npt.NDArray[np.bool_]]]:
    import pandas as pd

    codes, found = pd.factorize(values.astype("object"), use_na_sentinel=True)
    named = [(str(v), code) for code, v in enumerate(found)]
    for value, code in sorted(named):
        if known is None or value in known:
            yield value, codes == code
    if (codes == -1).any():
        yield None, codes == -1
