"""This module opens scikit-learn estimators that were trained elsewhere, as skops wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import DataError, SchemaError
from operators._decoding import numbers_of
from operators._encoding import Vector
from operators._import_opened import Opened
from operators._import_signature import Declared, in_order, listed
from operators._skops_bytes import read_estimator, untrusted_types, write_estimator

if TYPE_CHECKING:
    import pandas as pd


def open_sklearn(declared: Declared) -> Opened:
    """Return an estimator, held to what is said of it.

    One that was fitted on a frame is asked with a frame, so that transformers find their columns
    by name; one that was fitted on an array is asked with the encoded matrix.

    Raises:
        DataError: The file is not skops', holds types that are not trusted, or an estimator that
            gives no probabilities of two classes, or more than one estimate.
        SchemaError: Task, features or classes are not those of the estimator.
    """
    name, content = declared.source.name, declared.source.file.read_bytes()
    _require_trusted(content, name)
    estimator = read_estimator(content)
    classes = _require_answers(estimator, declared)
    known = getattr(estimator, "feature_names_in_", None)
    names = None if known is None else [str(n) for n in known]
    count = int(getattr(estimator, "n_features_in_", len(declared.features)))
    features = in_order(declared.source, declared.features, names, count)
    _ask_on_one_thread(estimator)
    _round_thresholds(_last(estimator))
    original = read_estimator(content)

    def own(rows: pd.DataFrame) -> Vector:
        asked = numbers_of(rows) if known is None else rows
        if declared.task == "estimation":
            return np.asarray(original.predict(asked), dtype=np.float64)
        return np.asarray(original.predict_proba(asked)[:, 1], dtype=np.float64)

    return Opened(
        flavor="sklearn",
        files={"model.skops": write_estimator(estimator)},
        features=features,
        classes=classes,
        kind=type(_last(estimator)).__name__,
        own=own,
        extra={} if known is None else {"takes": "frame"},
    )


def _require_trusted(content: bytes, name: str) -> None:
    try:
        unknown = untrusted_types(content)
    except Exception as error:  # skops lets the errors of zip and JSON through
        raise DataError(
            f"'{name}' is not a model that skops wrote: {type(error).__name__}: {error}.",
            remedy="Write it with `skops.io.dump(model, 'model.skops')`.",
        ) from error
    if unknown:
        listed = ", ".join(f"'{kind}'" for kind in unknown)
        raise DataError(
            f"The model in '{name}' holds types that are not trusted: {listed}. Nothing of it was "
            "loaded.",
            remedy="Build it of scikit-learn's own estimators and transformers, without functions "
            "or classes of yours.",
        )


def _require_answers(estimator: Any, declared: Declared) -> tuple[str, ...]:
    name, kind = declared.source.name, type(_last(estimator)).__name__
    found = getattr(estimator, "classes_", None)
    if (found is None) != (declared.task == "estimation"):
        does = "estimation" if found is None else "classification"
        raise SchemaError(
            f"The {kind} in '{name}' does {does}, but the task is '{declared.task}'.",
            remedy=f"Set task='{does}'.",
        )
    if found is None:
        return ()
    if not hasattr(estimator, "predict_proba"):
        raise DataError(
            f"The {kind} in '{name}' tells classes apart but gives no probabilities.",
            remedy="Train one that has `predict_proba`, or wrap it in CalibratedClassifierCV.",
        )
    classes = tuple(str(c).lower() if isinstance(c, bool | np.bool_) else str(c) for c in found)
    if classes != declared.classes:
        raise SchemaError(
            f"The {kind} in '{name}' knows the classes {listed(classes)}, but "
            f"{listed(declared.classes)} are named.",
            remedy=f"Set classes={list(classes)}."
            if len(classes) == 2
            else "Train one that tells one outcome from the others.",
        )
    return classes


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _ask_on_one_thread(estimator: Any) -> None:
    """Take out how many threads there were elsewhere: one row needs no second one."""
    settings = [n for n in estimator.get_params() if n.rpartition("__")[2] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(settings, 1))


def _round_thresholds(estimator: Any) -> None:
    """Let a number that equals a threshold go on going left when it comes in 32 bits.

    Histogram boosting compares 64 bits, and its thresholds often are values of the data. Rounding
    is monotone, so a value up to the threshold is never rounded beyond the rounded threshold.
    """
    for (predictor,) in getattr(estimator, "_predictors", ()):
        nodes = predictor.nodes
        finite = np.isfinite(nodes["num_threshold"])
        rounded = nodes["num_threshold"][finite].astype(np.float32)
        nodes["num_threshold"][finite] = rounded
