"""This module turns rows of features into the numbers that a model is fitted on and asked with.

There is one `encode` for training, evaluation and serving, so that offline equals online.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError, did_you_mean
from headrace.models import ModelCard, ModelFeature
from headrace.schemas import Column

if TYPE_CHECKING:
    import pandas as pd

Matrix: TypeAlias = npt.NDArray[np.float32]
Vector: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = "pd.DataFrame | Mapping[str, Sequence[Any] | npt.NDArray[Any]]"

# HistGradientBoosting holds 255 bins for a feature; one rule for all keeps models comparable.
MAX_CATEGORIES = 254
TEXT_DTYPES = ("string", "category")
NUMBER_DTYPES = ("bool", "int", "float")


def fit_features(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[ModelFeature, ...]:
    """Return the model's inputs as the training rows show them.

    Args:
        frame: The training rows and no others. Nulls are no category.
        columns: The feature columns, in the order of the matrix.

    Returns:
        One feature a column. A text column knows its `MAX_CATEGORIES` most frequent values, in
        alphabetical order; rarer ones count as null, as do values that training never saw.
    """
    return tuple(
        ModelFeature(
            name=column.name,
            dtype="category" if column.dtype in TEXT_DTYPES else column.dtype,
            categories=_categories(frame, column.name) if column.dtype in TEXT_DTYPES else None,
            source=column.source,
        )
        for column in columns
    )


def _categories(frame: pd.DataFrame, name: str) -> tuple[str, ...]:
    counts = frame[name].astype("object").value_counts(dropna=True, sort=False)
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return tuple(sorted(str(value) for value, _ in ranked[:MAX_CATEGORIES]))


def encode(rows: Rows, card: ModelCard) -> Matrix:
    """Return the matrix that a model scores, one column a feature.

    Args:
        rows: Feature values by column name: a pandas frame, or a dict of lists or arrays. None and
            NaN are null. Columns that the model does not know are ignored.
        card: The model's card.

    Returns:
        Shape `(n_rows, n_features)`, float32. Numbers as they are, true as 1, a category as its
        code. Nulls and categories unknown to the model are NaN.

    Raises:
        DataError: A feature is missing, is of the wrong type or is infinite, or the columns are
            not equally long.
    """
    columns = [_encoded(rows, feature, card) for feature in card.features]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        named = ", ".join(
            f"'{f.name}' {len(c):,}" for f, c in zip(card.features, columns, strict=True)
        )
        raise DataError(
            f"The columns of features are not equally long: {named}.",
            remedy="Give every feature one value a row; a null where it is not known.",
        )
    matrix = np.empty((lengths.pop() if lengths else 0, len(columns)), dtype=np.float32)
    for position, column in enumerate(columns):
        matrix[:, position] = column
    return matrix


def _encoded(rows: Rows, feature: ModelFeature, card: ModelCard) -> npt.NDArray[Any]:
    if feature.name not in rows:
        raise DataError(
            f"The rows lack feature '{feature.name}', which the {card.flavor} model was fitted on."
            f"{did_you_mean(feature.name, [str(name) for name in rows])}",
            remedy="Give every feature of the model's card; a null where it is not known.",
        )
    values: Any = rows[feature.name]
    if feature.categories is not None:
        return _codes(values, feature)
    with np.errstate(over="ignore"):
        numbers = _numbers(values, feature).astype(np.float32)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"Feature '{feature.name}' is infinite in row {row:,}, or too large for a 32-bit "
            "number.",
            remedy="Correct the feature view, or give a null where the value is not known.",
        )
    return numbers


def _codes(values: Any, feature: ModelFeature) -> npt.NDArray[Any]:
    lookup = {value: float(code) for code, value in enumerate(feature.categories or ())}
    listed = values.tolist() if hasattr(values, "tolist") else values
    unknown = float("nan")
    try:
        return np.array([lookup.get(value, unknown) for value in listed], dtype=np.float32)
    except TypeError as error:
        raise _wrong_type(feature, next(v for v in listed if isinstance(v, list | dict))) from error


def _numbers(values: Any, feature: ModelFeature) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] | None
    try:
        array = np.asarray(values)
    except ValueError:  # a list of numbers among numbers, which the check below names
        array = None
    if array is not None and array.dtype.kind in "fiub" and array.ndim == 1:
        return array
    listed = list(values) if array is None or array.ndim != 1 else array.tolist()
    # numpy would read the text "1.5" as a number; a serving client that sends it has a fault.
    wrong = [v for v in listed if v is not None and not isinstance(v, bool | int | float)]
    if wrong:
        raise _wrong_type(feature, wrong[0])
    # a whole number beyond all floats is refused as infinite, like any other that is too large
    return np.array([np.nan if v is None else _as_float(v) for v in listed], dtype=np.float64)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _wrong_type(feature: ModelFeature, value: object) -> DataError:
    return DataError(
        f"Feature '{feature.name}' is {feature.dtype} but holds {value!r}.",
        remedy=f"Give it as {feature.dtype}, or as null where it is not known.",
    )
