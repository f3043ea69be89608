"""This module is what every trainer does around its own fit: read, check, fill in the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, TrainSet, ValidationSet
from headrace.errors import DataError
from headrace.models import ModelCard, Task
from headrace.schemas import TableSchema
from operators._conformal import intervals_of
from operators._curves import curves_of, thinned
from operators._encoding import Matrix, fit_features
from operators._examples import (
    LabelledRows,
    balanced,
    classes_of,
    described,
    labelled_rows,
    prior_of,
    require_both_classes,
    require_rows,
)
from operators._importance import permutation_importance, shares
from operators._metrics import metrics_of
from operators._slices import card_slices
from operators._training_checks import require_fit
from operators.scoring import load_scorer

_EXAMPLE_ROWS = 5
_PACKAGES = {"xgboost": ("xgboost",), "sklearn": ("scikit-learn", "skops"), "torch": ("torch",)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """These are the two sets of a fit, encoded, and the card as far as it is known before it.

    Args:
        card: Task, features, label, classes, parameters and where the data comes from.
        train: The rows to fit on; `weight` includes class weights.
        validation: The rows to stop early on; weighted by the class weights of training.
    """

    card: ModelCard
    train: LabelledRows
    validation: LabelledRows


def prepare(
    operator: str,
    train: TrainSet[Any],
    validation: ValidationSet[Any],
    *,
    flavor: str,
    parameters: Mapping[str, Any],
) -> Fit:
    """Return both sets, encoded as the training rows say.

    Args:
        operator: Name of the trainer, for messages.
        train: The rows to fit on, and to learn categories from.
        validation: The rows to stop early on and to compute the card's metrics on.
        flavor: The card's flavor.
        parameters: The trainer's settings, task and class_weight among them.

    Raises:
        SchemaError: Label, features or task do not fit, as the plan would say.
        DataError: A set is empty, has one class, null labels, or a feature without any value.
    """
    schema, other = require_fit(operator, train.schema, validation.schema, parameters)
    task: Task = parameters["task"]
    frame, label = train.frame(), schema.the("label")
    require_rows(len(frame), "training set")
    classes: tuple[str, ...] = ()
    if task == "classification":
        classes = classes_of(frame[label.name], label, what="training set")
    card = ModelCard(
        task=task,
        flavor=flavor,
        features=fit_features(frame, schema.with_role("feature")),
        label=label.name,
        classes=classes,
        parameters=dict(parameters),
    )
    fitted = labelled_rows(train, schema, card, what="training set")
    held = labelled_rows(validation, other, card, what="validation set")
    _refuse_empty_features(fitted.matrix, card)
    require_both_classes(held.target, card, what="validation set")
    card = replace(
        card,
        trained_on=described(train, fitted.frame, schema),
        validated_on=described(validation, held.frame, other),
        packages={name: version(name) for name in (*_PACKAGES[flavor], "numpy")},
        example=_example(held, schema),
        extra={"prior": prior_of(fitted.target)},
    )
    if parameters["class_weight"] == "balanced":
        fitted, held = _balanced(fitted, held)
    return Fit(card=card, train=fitted, validation=held)


def finished(
    fit: Fit,
    files: Mapping[str, bytes],
    *,
    importance: Sequence[float] | npt.NDArray[Any] | None,
    learning: Sequence[float] = (),
    extra: Mapping[str, Any] | None = None,
    seconds: float,
    threads: int,
) -> Model:
    """Return the model with its card filled in from what the written files answer.

    Args:
        fit: What was prepared.
        files: The model's files; the metrics are those of a scorer that has read them.
        importance: One number a feature, zero or more; None permutes validation columns instead.
        learning: The validation loss after each round or epoch, where there is one.
        extra: What the flavor needs to score.
        seconds: What the fit took; a note, outside of the digest.
        threads: Threads for scoring, likewise.
    """
    card = replace(fit.card, extra={**fit.card.extra, **(extra or {})})
    scorer = load_scorer(card, lambda name: files[name], threads=threads)
    target, score = fit.validation.target, scorer.scores(fit.validation.matrix)
    metrics = metrics_of(card.task, target, score)
    curves = curves_of(card.task, target, score)
    if learning:
        curves["learning"] = _learning(learning)
    if card.task == "estimation":
        card = replace(card, extra={**card.extra, "intervals": intervals_of(target, score)})
    counts = np.asarray(
        permutation_importance(scorer, fit.validation) if importance is None else importance
    )
    card = card.with_validation(
        metrics={name: value for name, value in metrics.items() if value is not None},
        curves=curves,
        importance=shares(card.feature_names, counts),
        slices=card_slices(card, fit.validation.frame, target, score),
    )
    return Model.of(files, card=card, notes={"fit_seconds": round(seconds, 3), "threads": threads})


def _refuse_empty_features(matrix: Matrix, card: ModelCard) -> None:
    empty = [
        name
        for name, column in zip(card.feature_names, matrix.T, strict=True)
        if np.isnan(column).all()
    ]
    if empty:
        listed = ", ".join(f"'{name}'" for name in empty)
        raise DataError(
            f"The training set has no value at all in feature{'s' * (len(empty) > 1)} {listed}.",
            remedy="Leave it out of the features, or correct its view: nothing can be learnt "
            "from it.",
        )


def _balanced(train: LabelledRows, validation: LabelledRows) -> tuple[LabelledRows, LabelledRows]:
    once = np.ones(len(train.target)) if train.weight is None else train.weight
    counts = [float(once[train.target == c].sum()) for c in (0, 1)]
    return (
        replace(train, weight=balanced(train.target, train.weight, counts)),
        replace(validation, weight=balanced(validation.target, validation.weight, counts)),
    )


def _example(rows: LabelledRows, schema: TableSchema) -> dict[str, list[Any]]:
    first = rows.frame[[c.name for c in schema.with_role("feature")]].head(_EXAMPLE_ROWS)
    return {
        str(name): [None if missing else v for v, missing in zip(c.tolist(), c.isna(), strict=True)]
        for name, c in first.items()
    }


def _learning(losses: Sequence[float]) -> dict[str, list[float]]:
    picked = thinned(len(losses))
    return {
        "round": [int(i) + 1 for i in picked],
        "validation_loss": [float(losses[i]) for i in picked],
    }
