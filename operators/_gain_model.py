"""This module fits the small model with which features are compared, and takes its losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.schemas import Column
from operators._gain_folds import Positions
from operators._metrics import log_losses

if TYPE_CHECKING:
    import pyarrow as pa

Vector = npt.NDArray[np.float64]
Answer = Callable[[Vector], Vector]

_MOST_CATEGORIES = 64
_ROUNDS = 80
_PARAMETERS = {"eta": 0.1, "max_depth": 4, "min_child_weight": 5, "tree_method": "hist", "seed": 0}


def numbers(table: pa.Table, columns: Sequence[Column]) -> Vector:
    """Return features as numbers, `(n_rows, n_columns)`; a null is NaN.

    A text is how frequent it is among the texts of its column. The label plays no part in it, so
    that nothing can leak this way.
    """
    if not columns:
        return np.empty((table.num_rows, 0))
    return np.column_stack([_numbers(table.column(c.name), c) for c in columns])


def fitted(matrix: Vector, target: Vector, train: Positions, *, binary: bool) -> Answer:
    """Return a model: a function from features to scores.

    Args:
        matrix: The features; without any the model says the mean of what it was trained on.
        target: 0 or 1, or the measured value.
        train: Positions of the rows to fit on.
        binary: Whether the scores are probabilities of 1.
    """
    import xgboost

    known = target[train]
    if not matrix.shape[1] or not len(known) or not np.ptp(known):
        mean = float(known.mean()) if len(known) else 0.5 if binary else 0.0
        constant = min(max(mean, 1e-6), 1 - 1e-6) if binary else mean
        return lambda rows: np.full(len(rows), constant)
    objective = "binary:logistic" if binary else "reg:squarederror"
    model = xgboost.train(
        {**_PARAMETERS, "objective": objective, "nthread": 1},
        xgboost.DMatrix(matrix[train], known, nthread=1),
        num_boost_round=_ROUNDS,
    )
    return lambda rows: model.inplace_predict(rows).astype(np.float64)


def loss_of(target: Vector, score: Vector, *, binary: bool) -> Vector:
    """Return the loss of each score: the log loss in nats, or the squared error."""
    return log_losses(target, score) if binary else np.square(target - score)


def _numbers(values: pa.ChunkedArray, column: Column) -> Vector:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.dtype in ("int", "float", "bool"):
        return _floats(values)
    if column.dtype in ("timestamp", "date"):
        return _floats(values.cast(pa.timestamp("us")).cast(pa.int64()))
    plain = values.cast(pa.string())
    counts = pc.value_counts(plain.drop_null().combine_chunks()).to_pylist()
    ranked = sorted(counts, key=lambda each: (-each["counts"], each["values"]))
    frequent = [each["values"] for each in ranked[:_MOST_CATEGORIES]]
    return _floats(pc.index_in(plain, value_set=pa.array(frequent, pa.string())))


def _floats(values: pa.ChunkedArray) -> Vector:
    import pyarrow as pa

    found: Vector = values.cast(pa.float64()).to_numpy().astype(np.float64)
    return found
