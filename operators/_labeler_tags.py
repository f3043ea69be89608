"""This module fits labelers that say of each of several choices whether it applies.

Each choice is a question of its own (one against the rest). A choice that all training rows have,
or none, cannot be learnt: it is answered by the rate that so many rows without a counter-example
leave likely, the same for every row, and the card names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from operators._encoding import Rows, Vector
from operators._labeler_estimators import Settings, fit_answers
from operators._labeler_inputs import Inputs, prepared

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
_CHUNK = 16_384


@dataclass(frozen=True, kw_only=True, eq=False)
class TagLabeler:
    """This is a fitted labeler of several choices at once, ready to answer.

    Attributes:
        classes: The choices, in the order of the answers.
        inputs: What it looks at.
        pipeline: scikit-learn's pipeline from prepared rows to scores.
    """

    classes: tuple[str, ...]
    inputs: Inputs
    pipeline: Any

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the answers."""
        return self.classes

    def answers(self, rows: Rows) -> Floats:
        """Return how probably each choice applies `(n_rows, n_choices)`; rows sum to anything.

        Args:
            rows: A frame, or a dict of columns, that has all features; nulls are allowed.

        Raises:
            DataError: A feature is missing or of the wrong type.
        """
        frame = prepared(rows, self.inputs)
        found = np.zeros((len(frame), len(self.classes)))
        for start in range(0, len(frame), _CHUNK):
            matrix = self.pipeline["inputs"].transform(frame.iloc[start : start + _CHUNK])
            part = tag_probabilities(self.pipeline["answer"], matrix)
            found[start : start + len(part)] = part
        return found


def fit_tags(matrix: Any, applies: Booleans, settings: Settings, weight: Vector | None) -> Any:
    """Return scikit-learn's estimator, fitted on counted rows.

    Args:
        matrix: The rows.
        applies: `(n_rows, n_choices)`.
        settings: The settings.
        weight: How much each row counts.
    """
    if settings.estimator == "extra_trees":
        return _trees(matrix, applies, settings, weight)
    rates = constant_rates(applies, weight)
    coefficients = np.zeros((applies.shape[1], matrix.shape[1]))
    intercepts = np.log(rates) - np.log1p(-rates)
    fitted: Any = None
    for at in range(applies.shape[1]):
        if not varies(applies)[at]:
            continue
        said = np.where(applies[:, at], "yes", "no")
        fitted = fit_answers(matrix, said, settings, weight)
        coefficients[at], intercepts[at] = fitted.coef_[0], fitted.intercept_[0]
    # one linear model with a row a choice: its decisions are the log odds
    fitted.coef_, fitted.intercept_ = coefficients, intercepts
    fitted.classes_ = np.arange(applies.shape[1])
    return fitted


def tag_probabilities(fitted: Any, matrix: Any) -> Floats:
    """Return how probably each choice applies `(n_rows, n_choices)`."""
    if hasattr(fitted, "coef_"):
        odds = np.asarray(matrix @ fitted.coef_.T + fitted.intercept_, dtype=np.float64)
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))
    found = fitted.predict_proba(matrix)
    wide = np.zeros((matrix.shape[0], len(found)))
    for at, (classes, each) in enumerate(zip(fitted.classes_, found, strict=True)):
        wide[:, at] = each[:, list(classes).index(1.0)] if 1.0 in classes else 0.0
    rates = constant_rates_of_trees(fitted)
    return np.where(np.isnan(rates), wide, rates)


def varies(applies: Booleans) -> Booleans:
    """Return for each choice whether some rows have it and others have not."""
    some, every = applies.any(axis=0), applies.all(axis=0)
    return np.asarray(some & ~every)


def constant_rates(applies: Booleans, weight: Vector | None) -> Floats:
    """Return the rate of each choice with half a row more of either sort (Jeffreys)."""
    once = np.ones(len(applies)) if weight is None else weight * (len(weight) / weight.sum())
    rates: Floats = (once @ applies + 0.5) / (once.sum() + 1.0)
    return rates


def constant_rates_of_trees(fitted: Any) -> Floats:
    """Return the rates of choices that trees had one sort of rows for; NaN for the others."""
    rows = float(fitted.estimators_[0].tree_.weighted_n_node_samples[0])
    rates = [
        np.nan if len(classes) > 1 else (rows * float(classes[0]) + 0.5) / (rows + 1.0)
        for classes in fitted.classes_
    ]
    return np.asarray(rates, dtype=np.float64)


def require_tags(applies: Booleans, choices: tuple[str, ...]) -> None:
    """Refuse rows of which none tells any choice apart."""
    if len(applies) and varies(applies).any():
        return
    every = [name for name, have in zip(choices, list(applies.T), strict=True) if have.all()]
    raise DataError(
        f"There is nothing to tell apart: all {len(applies):,} rows have the same choices"
        f" ({', '.join(every) or 'none'}).",
        remedy="Label rows that differ in a choice.",
    )


def _trees(matrix: Any, applies: Booleans, settings: Settings, weight: Vector | None) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    trees = ExtraTreesClassifier(
        n_estimators=settings.n_estimators, n_jobs=settings.threads, random_state=settings.seed
    )
    trees.fit(matrix, applies.astype(np.float64), sample_weight=weight)
    return trees.set_params(n_jobs=1)
