"""This module reads labelled rows: target, weights, day blocks, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Tabular
from headrace.errors import DataError
from headrace.models import ModelCard
from headrace.schemas import Column, TableSchema
from operators._encoding import Matrix, Vector, encode

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRows:
    """These are a set's rows as a model meets them.

    Args:
        frame: All columns of the set.
        matrix: The encoded features `(n_rows, n_features)`.
        target: 0 or 1, or the measured value; one a row.
        weight: How much each row counts in fitting; None when all count once.
    """

    frame: pd.DataFrame
    matrix: Matrix
    target: Vector
    weight: Vector | None


def labelled_rows(
    rows: Tabular[Any], schema: TableSchema, card: ModelCard, *, what: str
) -> LabelledRows:
    """Return a set's rows, encoded as the card says.

    Args:
        rows: The set.
        schema: Its schema; the column named by the card is the label.
        card: The model's card; task, features, label and classes are used.
        what: Which set it is, for messages, such as "training set".

    Raises:
        DataError: The set is empty, a label is null or unknown, or a weight is null or negative.
    """
    frame = rows.frame()
    require_rows(len(frame), what)
    target = target_of(frame[card.label], card, what=what)
    weights = schema.with_role("weight")
    return LabelledRows(
        frame=frame,
        matrix=encode(frame, card),
        target=target,
        weight=_weight(frame[weights[0].name], what) if weights else None,
    )


def require_rows(rows: int, what: str) -> None:
    """Refuse a set without rows."""
    if rows == 0:
        raise DataError(
            f"The {what} is empty.",
            remedy="Look at the filter or the split that made it; it must leave rows.",
        )


def classes_of(values: pd.Series[Any], column: Column, *, what: str) -> tuple[str, ...]:
    """Return the two classes that training labels hold, the positive one last.

    The positive class is the later of declared categories, else the larger value or True.

    Raises:
        DataError: A label is null, or there are not exactly two classes.
    """
    _refuse_nulls(values, what)
    found = [_class_name(v) for v in np.unique(values.to_numpy()).tolist()]
    if len(found) == 1:
        raise DataError(
            f"The {what} holds one class only: label '{values.name}' is {found[0]} in all "
            f"{len(values):,} rows.",
            remedy="Take a longer time or another threshold, so that both outcomes occur.",
        )
    if len(found) > 2:
        shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise DataError(
            f"The {what} holds {len(found)} classes ({shown}) in label '{values.name}'; "
            "two are supported.",
            remedy="Label one outcome against the others.",
        )
    declared = column.categories
    return tuple(sorted(found, key=declared.index)) if declared else tuple(found)


def target_of(values: pd.Series[Any], card: ModelCard, *, what: str) -> Vector:
    """Return the label as numbers: 1 for the positive class, or the value itself.

    Raises:
        DataError: A label is null, infinite, or of a class that training did not see.
    """
    _refuse_nulls(values, what)
    if card.task == "estimation":
        measured = values.to_numpy(dtype=np.float64)
        if np.isinf(measured).any():
            raise DataError(
                f"Label '{values.name}' of the {what} is infinite in row "
                f"{int(np.isinf(measured).argmax()):,}.",
                remedy="Correct or drop that row where the label is made.",
            )
        return measured
    found, position = np.unique(values.to_numpy(), return_inverse=True)
    names = [_class_name(v) for v in found.tolist()]
    unknown = [n for n in names if n not in card.classes]
    if unknown:
        raise DataError(
            f"Label '{values.name}' of the {what} is {unknown[0]}, but training saw only "
            f"{' and '.join(card.classes)}.",
            remedy="Split the sets from the same labels.",
        )
    return np.array([float(n == card.classes[-1]) for n in names])[position]


def require_both_classes(target: Vector, card: ModelCard, *, what: str) -> None:
    """Refuse a set in which a metric of two classes is not defined."""
    if card.task == "classification" and target.min() == target.max():
        only = card.classes[int(target[0])]
        raise DataError(
            f"The {what} holds one class only: label '{card.label}' is {only} in all "
            f"{len(target):,} rows.",
            remedy="Take a longer time, so that both outcomes occur.",
        )


def described(rows: Tabular[Any], frame: pd.DataFrame, schema: TableSchema) -> dict[str, Any]:
    """Return a set's digest, number of rows, and first and last decision time."""
    times = schema.with_role("decision_time")
    first, last = None, None
    if len(times) == 1 and len(frame):
        column = frame[times[0].name]
        first, last = column.min().isoformat(), column.max().isoformat()
    return {"digest": rows.digest, "rows": len(frame), "from": first, "to": last}


def decision_days(
    frame: pd.DataFrame, schema: TableSchema, timezone: str, *, what: str
) -> npt.NDArray[np.int64] | None:
    """Return each row's day since 1970 in a time zone; None without a decision time.

    Raises:
        DataError: A decision time is null.
    """
    times = schema.with_role("decision_time")
    if len(times) != 1:
        return None
    column = frame[times[0].name]
    _refuse_nulls(column, what, noun="Decision time")
    local = column.dt.tz_convert(timezone).dt.tz_localize(None)
    days: npt.NDArray[np.int64] = local.to_numpy().astype("datetime64[D]").astype(np.int64)
    return days


def balanced(target: Vector, weight: Vector | None, counts: Sequence[float]) -> Vector:
    """Return weights under which both classes count the same in the training set.

    Args:
        target: 0 or 1.
        weight: Weights that the rows have by themselves.
        counts: The training set's rows (or weight) of class 0 and class 1.
    """
    share = sum(counts) / 2
    factor = np.where(target == 1, share / counts[1], share / counts[0])
    return factor if weight is None else factor * weight


def prior_of(target: Vector) -> float:
    """Return what a model without features would answer: the share of 1s, or the mean."""
    return float(target.mean())


def _refuse_nulls(values: pd.Series[Any], what: str, *, noun: str = "Label") -> None:
    missing = values.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{noun} '{values.name}' of the {what} is null in {int(missing.sum()):,} rows, the "
            f"first in row {int(missing.argmax()):,}.",
            remedy="Drop or complete those rows where the labels are made.",
        )


def _weight(values: pd.Series[Any], what: str) -> Vector:
    _refuse_nulls(values, what, noun="Weight")
    weight = values.to_numpy(dtype=np.float64)
    if weight.min() < 0 or not np.isfinite(weight).all() or weight.sum() == 0:
        raise DataError(
            f"Weight '{values.name}' of the {what} is negative or infinite, or zero in all rows.",
            remedy="Give every row a weight of zero or more.",
        )
    return weight


def _class_name(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
