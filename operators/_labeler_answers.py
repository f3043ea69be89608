"""This module reads the answers that a labeler learns from: classes, their order, and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from headrace.schemas import Column, TableSchema
from operators._encoding import Vector

if TYPE_CHECKING:
    import pandas as pd

Answers = npt.NDArray[np.str_]


def classes_of(column: Column, *sets: pd.DataFrame) -> tuple[str, ...]:
    """Return all classes: the declared categories in their order, else the values that occur.

    Args:
        column: The label, as the schema describes it.
        sets: The rows; nulls are passed over.
    """
    if column.categories:
        return column.categories
    values = {value for frame in sets for value in frame[column.name].dropna().tolist()}
    return tuple(_class_name(value) for value in sorted(values))


def answers_of(frame: pd.DataFrame, column: Column, *, what: str) -> Answers:
    """Return the class of each row.

    Args:
        frame: The rows.
        column: The label, as the schema describes it.
        what: Which set it is, for messages, such as "training set".

    Raises:
        DataError: A label is null.
    """
    values = frame[column.name]
    missing = values.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"Label '{column.name}' of the {what} is null in {int(missing.sum()):,} rows, the "
            f"first in row {int(missing.argmax()):,}.",
            remedy="Drop or complete those rows where the labels are made.",
        )
    return np.array([_class_name(value) for value in values.tolist()], dtype=str)


def require_no_sets(answers: Answers, label: str) -> None:
    """Refuse labels of several choices, as a schema of these writes them: no class is one.

    Raises:
        DataError: All are lists.
    """
    if len(answers) and all(each[:1] == "[" and each[-1:] == "]" for each in answers):
        raise DataError(
            f"Label '{label}' holds several choices at once ({answers[0]}), and each set of them "
            "would be a class of its own.",
            remedy="Give `schema`, which says what could be answered.",
        )


def weights_of(frame: pd.DataFrame, schema: TableSchema, weighted_by: str | None) -> Vector | None:
    """Return how much each training row counts; None where all count once.

    Raises:
        DataError: A weight is null, negative or infinite, or all are zero.
    """
    named = [weighted_by] if weighted_by else [c.name for c in schema.with_role("weight")]
    if not named:
        return None
    weight: Any = frame[named[0]].to_numpy(dtype=np.float64)
    if not (np.isfinite(weight) & (weight >= 0)).all() or weight.sum() == 0:
        wrong = ~np.isfinite(weight) | (weight < 0)
        row = int(wrong.argmax()) if wrong.any() else 0
        raise DataError(
            f"Weight '{named[0]}' of the training set is null, negative or infinite, or zero in "
            f"all rows: it is {weight[row]:g} in row {row:,}.",
            remedy="Give every row a weight of zero or more.",
        )
    return np.asarray(weight, dtype=np.float64)


def _class_name(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
