"""These operators judge models by the random slice: one alone, and a new one against an old one.

Items that a model chose to be labelled are those that models are bad at, so that accuracy on them
says nothing of the whole. The random slice is a uniform sample of the pool.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from headrace import Model, Report, Schema, TrainSet, ValidationSet, operator
from headrace.errors import DataError
from operators._proportions import wilson

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

S = TypeVar("S", bound=Schema)
_Confidence = Annotated[float, Field(gt=0, lt=1)]


@operator(task="classification")
def judge_model(
    model: Model,
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    confidence: _Confidence = 0.95,
) -> Report:
    """Count how often a model is right on the random slice.

    Args:
        model: A model of classes.
        train: What it was trained on; only its rows are counted.
        validation: The random slice, with labels that people gave. May be a later one than that of
            the model's round: the models of all rounds are then judged by the same rows.
        confidence: Of the interval.

    Returns:
        `labels` that it was trained on, how many were `right` of those `judged`, and `accuracy` as
        value, low and high (Wilson's interval); `model`, its digest; `passed`.

    Raises:
        DataError: The random slice is empty, or the model cannot score it.
    """
    right = _right(model, validation)
    hits, judged = int(right.sum()), len(right)
    accuracy = wilson(hits, judged, confidence=confidence)
    return Report.of(
        {
            "passed": True,
            "model": model.digest,
            "labels": train.rows,
            "right": hits,
            "judged": judged,
            "accuracy": accuracy.document(),
            "confidence": confidence,
        }
    )


@operator(task="classification")
def compare_models(
    new: Model, old: Model, validation: ValidationSet[S], *, confidence: _Confidence = 0.95
) -> Report:
    """Compare two models on the same rows of the random slice.

    Args:
        new: The new model.
        old: The one that it is to replace.
        validation: The random slice, with labels that people gave.
        confidence: Of the intervals.

    Returns:
        `judged`, the accuracy of `new` and `old` as value, low and high, `gain` likewise (of new
        over old, by the rows on which one of them alone is right), `only_new` and `only_old`
        (how many those are), and `passed`: whether the gain is shown to be above zero.

    Raises:
        DataError: The random slice is empty, or a model cannot score it.
    """
    fresh, known = _right(new, validation), _right(old, validation)
    only_new, only_old = int((fresh & ~known).sum()), int((~fresh & known).sum())
    value, low, high = paired(only_new, only_old, len(fresh), confidence)
    document: dict[str, Any] = {
        "passed": low > 0,
        "judged": len(fresh),
        "gain": {"value": value, "low": low, "high": high},
        "only_new": only_new,
        "only_old": only_old,
        "confidence": confidence,
    }
    for name, model, right in (("new", new, fresh), ("old", old, known)):
        hits = int(right.sum())
        document[name] = wilson(hits, len(right), confidence=confidence).document()
        document[f"{name}_model"] = model.digest
    return Report.of(document)


def paired(
    only_new: int, only_old: int, count: int, confidence: float
) -> tuple[float, float, float]:
    """Return the gain of one share over another on the same rows, with its interval.

    Agresti and Min (2005): half an observation more in each cell, so that the interval holds what
    it promises also where the two hardly ever differ.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    b, c, n = only_new + 0.5, only_old + 0.5, count + 2
    centre = (b - c) / n
    half = z * math.sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
    return (only_new - only_old) / count, max(-1.0, centre - half), min(1.0, centre + half)


def _right(model: Model, validation: ValidationSet[Any]) -> npt.NDArray[np.bool_]:
    """Return for each row whether the likeliest class is the label."""
    import numpy as np

    from operators.class_probabilities import class_probabilities

    if not validation.rows:
        raise DataError(
            "The random slice has no labelled rows, so nothing can be judged by it.",
            remedy="Ask for labels with a `random_share` above 0, and wait for their answers.",
        )
    classes, matrix = class_probabilities(model, validation)
    likeliest = np.asarray(classes, dtype=object)[matrix.argmax(axis=1)]
    label = model.card.label
    truth = np.asarray([str(each) for each in validation.arrow()[label].to_pylist()], dtype=object)
    right: npt.NDArray[np.bool_] = likeliest == truth
    return right
