"""This module prepares the matrix for models that take no nulls: fill, flag, scale, split codes.

The constants are fitted on the training matrix only and travel in the model's card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.models import ModelFeature
from operators._encoding import Matrix

Codes: TypeAlias = npt.NDArray[np.int64]

# A value far outside of what training saw says "very large", not "a thousand times as strong".
_MOST_DEVIATIONS = 10.0


def fit_dense(matrix: Matrix, features: Sequence[ModelFeature]) -> dict[str, Any]:
    """Return the constants for `dense_parts`, as JSON-like data.

    Args:
        matrix: The encoded training rows `(n_rows, n_features)`; NaN is null, no column is all NaN.
        features: What the columns are.

    Returns:
        Positions of numeric and category columns, and for the numeric ones the median that fills
        a null, mean and standard deviation after filling, and which of them had nulls.
    """
    numeric = [i for i, f in enumerate(features) if f.categories is None]
    category = [i for i, f in enumerate(features) if f.categories is not None]
    numbers = matrix[:, numeric]
    fill = np.nanmedian(numbers, axis=0) if numeric else np.zeros(0, dtype=np.float32)
    filled = np.where(np.isnan(numbers), fill, numbers).astype(np.float64)
    scale = filled.std(axis=0)
    return {
        "numeric": numeric,
        "fill": [float(v) for v in fill],
        "mean": [float(v) for v in filled.mean(axis=0)],
        "scale": [float(v) if v > 0 else 1.0 for v in scale],
        "flagged": [i for i in numeric if np.isnan(matrix[:, i]).any()],
        "category": category,
        "sizes": [len(features[i].categories or ()) for i in category],
    }


def dense_parts(matrix: Matrix, constants: Mapping[str, Any]) -> tuple[Matrix, Codes]:
    """Return numbers without nulls, and category codes of which the last means "not known".

    Args:
        matrix: Encoded rows `(n_rows, n_features)`.
        constants: From `fit_dense`.

    Returns:
        Scaled numbers followed by one 0/1 column a flagged feature; and codes
        `(n_rows, n_categories)`, where a null or unknown value has the code after the last.
    """
    numbers = matrix[:, constants["numeric"]]
    fill = np.asarray(constants["fill"], dtype=np.float32)
    mean = np.asarray(constants["mean"], dtype=np.float32)
    scale = np.asarray(constants["scale"], dtype=np.float32)
    scaled = (np.where(np.isnan(numbers), fill, numbers) - mean) / scale
    np.clip(scaled, -_MOST_DEVIATIONS, _MOST_DEVIATIONS, out=scaled)
    flags = np.isnan(matrix[:, constants["flagged"]]).astype(np.float32)
    codes = matrix[:, constants["category"]]
    sizes = np.asarray(constants["sizes"], dtype=np.float32)
    known = np.where(np.isnan(codes), sizes, codes).astype(np.int64)
    return np.concatenate([scaled, flags], axis=1, dtype=np.float32), known


def one_hot(matrix: Matrix, constants: Mapping[str, Any]) -> Matrix:
    """Return the numbers of `dense_parts` and a 0/1 column a category, for linear models.

    A feature with k known values takes k + 1 columns, the last for "not known".
    """
    numbers, codes = dense_parts(matrix, constants)
    widths = [size + 1 for size in constants["sizes"]]
    wide = np.zeros((len(matrix), numbers.shape[1] + sum(widths)), dtype=np.float32)
    wide[:, : numbers.shape[1]] = numbers
    start, every = numbers.shape[1], np.arange(len(matrix))
    for column, width in enumerate(widths):
        wide[every, start + codes[:, column]] = 1.0
        start += width
    return wide


def one_hot_owners(constants: Mapping[str, Any]) -> list[int]:
    """Return for each column of `one_hot` the position of the feature that it comes from."""
    owners = [*constants["numeric"], *constants["flagged"]]
    for feature, size in zip(constants["category"], constants["sizes"], strict=True):
        owners += [feature] * (size + 1)
    return owners
