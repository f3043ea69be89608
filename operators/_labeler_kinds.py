"""This module makes models of labelers that answer with several choices, or with a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, TrainSet, ValidationSet
from headrace.clock import SystemClock
from headrace.errors import DataError
from headrace.labels.schema import LabelSchema
from headrace.models import ModelCard, ModelFeature, Task
from headrace.schemas import TableSchema
from operators._encoding import Vector
from operators._examples import described
from operators._labeler_answers import weights_of
from operators._labeler_card import example_rows
from operators._labeler_estimators import Settings
from operators._labeler_file import LABELER, read_labeler, write_labeler
from operators._labeler_fit import Counted, counted_rows
from operators._labeler_kinds_metrics import number_metrics, tag_metrics
from operators._labeler_metrics import importance_of, words_of
from operators._labeler_numbers import (
    STRENGTHS,
    NumberLabeler,
    chosen_by_folds,
    fit_numbers,
    require_numbers,
)
from operators._labeler_tags import TagLabeler, fit_tags, require_tags, varies

if TYPE_CHECKING:
    import pandas as pd

Booleans = npt.NDArray[np.bool_]
_PACKAGES = ("numpy", "scikit-learn", "scipy", "skops")


@dataclass(frozen=True, kw_only=True, eq=False)
class Teaching:
    """This is what a labeler of several choices or of numbers is fitted and judged with.

    Attributes:
        train: The training set.
        validation: The rows that its metrics are computed on.
        schemas: The schemas of both.
        answers: What could be answered.
        text: Columns whose words are read.
        settings: How to fit; the estimator and its penalty as far as they were given.
        given: Whether estimator and penalty were given, each.
        parameters: All that was given, for the card.
        weighted_by: A column by which rows count.
    """

    train: TrainSet[Any]
    validation: ValidationSet[Any]
    schemas: tuple[TableSchema, TableSchema]
    answers: LabelSchema
    text: tuple[str, ...]
    settings: Settings
    given: tuple[bool, bool]
    parameters: Mapping[str, Any]
    weighted_by: str | None


def train_tags(teaching: Teaching) -> Model:
    """Return a model that says of each choice whether it applies.

    Raises:
        DataError: A label is null or no answer of the schema, or all rows have the same choices.
    """
    choices = teaching.answers.choices
    frame, held = teaching.train.frame(), teaching.validation.frame()
    label = teaching.schemas[0].the("label")
    applies = tags_of(frame[label.name].tolist(), teaching.answers, what="training set")
    expected = tags_of(held[label.name].tolist(), teaching.answers, what="validation set")
    require_tags(applies, choices)
    before = SystemClock().monotonic()
    counted = _counted(teaching, frame)
    weight = weights_of(frame, teaching.schemas[0], teaching.weighted_by)
    fitted = fit_tags(counted.matrix, applies, teaching.settings, weight)
    seconds = SystemClock().monotonic() - before
    labeler = TagLabeler(
        classes=choices, inputs=counted.inputs, pipeline=_pipeline(counted, fitted)
    )
    files = write_labeler(labeler)
    card = _looking_at(_card(teaching, "tagging", teaching.parameters, held), counted, held)
    counts, taught = applies.sum(axis=0).tolist(), varies(applies)
    extra = {
        "dense": dict(counted.inputs.dense),
        "answers": "multi",
        "examples": dict(zip(choices, counts, strict=True)),
        "not_learnt": [name for name, some in zip(choices, taught, strict=True) if not some],
        "words": _words_of_tags(counted, fitted, choices),
    }
    card = replace(card, classes=choices, importance=_importance(counted, fitted), extra=extra)
    found = read_labeler(card, files.__getitem__).answers(held)
    card = replace(card, metrics=tag_metrics(choices, expected, found >= 0.5))
    return Model.of(files, card=card, notes={"fit_seconds": round(seconds, 3)})


def train_numbers(teaching: Teaching) -> Model:
    """Return a model that estimates a number.

    Raises:
        DataError: A label is null or no answer of the schema, or all are the same.
    """
    frame, held = teaching.train.frame(), teaching.validation.frame()
    label = teaching.schemas[0].the("label")
    values = numbers_of(frame[label.name], teaching.answers, what="training set")
    expected = numbers_of(held[label.name], teaching.answers, what="validation set")
    require_numbers(values)
    before = SystemClock().monotonic()
    counted = _counted(teaching, frame)
    weight = weights_of(frame, teaching.schemas[0], teaching.weighted_by)
    settings, tried = chosen_by_folds(
        counted.matrix,
        values,
        candidates_of(teaching.settings, teaching.given, teaching.text),
        weight,
        groups=groups_of(frame, teaching.schemas[0]),
    )
    fitted = fit_numbers(counted.matrix, values, settings, weight)
    seconds = SystemClock().monotonic() - before
    answers = teaching.answers
    labeler = NumberLabeler(
        inputs=counted.inputs,
        pipeline=_pipeline(counted, fitted),
        low=answers.low,
        high=answers.high,
    )
    files = write_labeler(labeler)
    parameters = {**teaching.parameters, "estimator": settings.estimator, "l2": settings.l2}
    card = _looking_at(_card(teaching, "estimation", parameters, held), counted, held)
    extra = {
        "dense": dict(counted.inputs.dense),
        "answers": "number",
        "low": answers.low,
        "high": answers.high,
        "unit": answers.unit,
        "range": [float(values.min()), float(values.max())],
        "tried": tried,
        "words": _words_of_numbers(counted, fitted),
    }
    card = replace(card, importance=_importance(counted, fitted), extra=extra)
    found = read_labeler(card, files.__getitem__).answers(held)[:, 0]
    card = replace(card, metrics=number_metrics(expected, found))
    return Model.of(files, card=card, notes={"fit_seconds": round(seconds, 3)})


def candidates_of(
    settings: Settings, given: tuple[bool, bool], text: tuple[str, ...]
) -> list[Settings]:
    """Return the settings that folds choose among for numbers; one where it was said which."""
    by_name, by_strength = given
    strengths = (settings.l2,) if by_strength else STRENGTHS
    linear = [replace(settings, estimator="ridge", l2=each) for each in strengths]
    trees = [replace(settings, estimator="extra_trees")]
    if by_name:
        return trees if settings.estimator == "extra_trees" else linear
    # words are too many for trees, and each says little
    return linear if text else [*linear, *trees]


def tags_of(written: list[Any], schema: LabelSchema, *, what: str) -> Booleans:
    """Return for each written answer which choices it has `(n_rows, n_choices)`.

    Raises:
        DataError: One is null, or no answer of the schema.
    """
    applies = np.zeros((len(written), len(schema.choices)), dtype=bool)
    at = {choice: position for position, choice in enumerate(schema.choices)}
    for row, answer in enumerate(written):
        if not isinstance(answer, str):
            raise DataError(
                f"A label of the {what} is null, in row {row:,}.",
                remedy="Drop or complete those rows where the labels are made.",
            )
        for choice in schema.value(schema.read(answer)):
            applies[row, at[choice]] = True
    return applies


def numbers_of(values: pd.Series[Any], schema: LabelSchema, *, what: str) -> Vector:
    """Return the number of each row.

    Raises:
        DataError: One is null, or outside of what may be answered.
    """
    numbers: Vector = values.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise DataError(
            f"Label '{values.name}' of the {what} is null or infinite in {int(wrong.sum()):,} "
            f"rows, the first in row {int(wrong.argmax()):,}.",
            remedy="Drop or complete those rows where the labels are made.",
        )
    for extreme in (numbers.min(), numbers.max()) if len(numbers) else ():
        schema.read(float(extreme))
    return numbers


def groups_of(frame: pd.DataFrame, schema: TableSchema) -> npt.NDArray[np.int64] | None:
    """Return the group of each row as a number; None where there is not one such column."""
    grouping = schema.with_role("group")
    if len(grouping) != 1:
        return None
    named = np.asarray([str(each) for each in frame[grouping[0].name]])
    return np.unique(named, return_inverse=True)[1]


def kind_of(schema: LabelSchema | None) -> Literal["single", "multi", "number"]:
    """Return what a labeler of a schema answers with; one choice where there is none."""
    if schema is None:
        return "single"
    return schema.kind if schema.kind in ("multi", "number") else "single"


def _counted(teaching: Teaching, frame: pd.DataFrame) -> Counted:
    return counted_rows(frame, teaching.schemas[0].with_role("feature"), teaching.text)


def _pipeline(counted: Counted, fitted: Any) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline([("inputs", counted.preparer), ("answer", fitted)])


def _card(
    teaching: Teaching, task: Task, parameters: Mapping[str, Any], held: pd.DataFrame
) -> ModelCard:
    """Return the card as far as it is known before the fit, without its features."""
    schema, other = teaching.schemas
    return ModelCard(
        task=task,
        flavor=LABELER,
        features=(),
        label=schema.the("label").name,
        parameters=dict(parameters),
        trained_on=described(teaching.train, teaching.train.frame(), schema),
        validated_on=described(teaching.validation, held, other),
        packages={name: version(name) for name in _PACKAGES},
    )


def _looking_at(card: ModelCard, counted: Counted, held: pd.DataFrame) -> ModelCard:
    features: tuple[ModelFeature, ...] = counted.inputs.features
    return replace(card, features=features, example=example_rows(held, features))


def _importance(counted: Counted, fitted: Any) -> dict[str, float]:
    return importance_of(counted, _first(fitted))


def _words_of_tags(counted: Counted, fitted: Any, choices: tuple[str, ...]) -> dict[str, Any]:
    if not hasattr(fitted, "coef_"):
        return {}
    return words_of(counted, _Named(coef_=fitted.coef_, classes_=choices)) if counted.terms else {}


def _words_of_numbers(counted: Counted, fitted: Any) -> dict[str, Any]:
    if not hasattr(fitted, "coef_") or not counted.terms:
        return {}
    row = np.asarray(fitted.coef_)[:1]
    return words_of(counted, _Named(coef_=np.vstack([-row, row]), classes_=("lower", "higher")))


def _first(fitted: Any) -> Any:
    """Return a fit as `importance_of` takes it: of numbers without the members."""
    if hasattr(fitted, "estimators_") or hasattr(fitted, "classes_"):
        return fitted
    return _Named(coef_=np.asarray(fitted.coef_)[:1], classes_=())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Named:
    """These are weights as scikit-learn names them."""

    coef_: npt.NDArray[np.float64]
    classes_: tuple[str, ...]
