"""This module measures a labeler, and says what it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from operators._importance import shares
from operators._labeler_fit import Counted, Probabilities

_EPSILON = float(np.finfo(np.float64).eps)
_MOST_WORDS = 12


def labeler_metrics(
    classes: Sequence[str], answers: npt.NDArray[np.str_], found: Probabilities
) -> dict[str, float]:
    """Return the metrics of a labeler on labelled rows, by name; every row counts once.

    Args:
        classes: All classes, in the order of the probabilities.
        answers: The class of each row, at least one row.
        found: The probabilities `(n_rows, n_classes)`.

    Returns:
        accuracy, log_loss (nats), macro_f1 (the mean over the classes that rows have), and
        "recall.<class>" for each of those classes.
    """
    table = confusion_of(classes, answers, found)
    right, actual, given = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    occurs = actual > 0
    f1 = 2 * right[occurs] / (actual[occurs] + given[occurs])
    position = {name: at for at, name in enumerate(classes)}
    own = found[np.arange(len(answers)), [position[str(a)] for a in answers]]
    recalls = {
        f"recall.{name}": float(right[at] / actual[at])
        for at, name in enumerate(classes)
        if actual[at]
    }
    return {
        "accuracy": float(right.sum() / len(answers)),
        "log_loss": float(-np.log(np.clip(own, _EPSILON, 1.0)).mean()),
        "macro_f1": float(f1.mean()),
        **recalls,
    }


def confusion_of(
    classes: Sequence[str], answers: npt.NDArray[np.str_], found: Probabilities
) -> npt.NDArray[np.int64]:
    """Return how many rows of each class (rows) were given each class (columns)."""
    position = {name: at for at, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(table, ([position[str(a)] for a in answers], found.argmax(axis=1)), 1)
    return table


def words_of(counted: Counted, fitted: Any) -> dict[str, dict[str, list[str]]]:
    """Return for each class the terms of each text that speak most for it; empty for trees."""
    if not hasattr(fitted, "coef_"):
        return {}
    weights = np.asarray(fitted.coef_)
    if len(weights) == 1:
        weights = np.vstack([-weights, weights])  # of two classes only the second is written
    words: dict[str, dict[str, list[str]]] = {}
    for name, row in zip(fitted.classes_, weights, strict=True):
        start, words[str(name)] = 0, {}
        for column, terms in counted.terms.items():
            own = row[start : start + len(terms)]
            best = np.argsort(-own, kind="stable")[:_MOST_WORDS]
            words[str(name)][column] = [terms[i] for i in best if own[i] > 0]
            start += len(terms)
    return words


def importance_of(counted: Counted, fitted: Any) -> dict[str, float]:
    """Return each feature's share of what moves the answer over the training rows."""
    if hasattr(fitted, "coef_"):
        moved = np.abs(np.asarray(fitted.coef_)).mean(axis=0) * _deviations(counted.matrix)
    else:
        moved = np.asarray(fitted.feature_importances_)
    names = [feature.name for feature in counted.inputs.features]
    position = {name: at for at, name in enumerate(names)}
    owners = [position[owner] for owner in _owners(counted)]
    return shares(names, np.bincount(owners, weights=moved, minlength=len(names)))


def _owners(counted: Counted) -> list[str]:
    terms = [column for column, names in counted.terms.items() for _ in names]
    return [*terms, *counted.inputs.owners]


def _deviations(matrix: Any) -> npt.NDArray[np.float64]:
    """Return the standard deviation of each column, of a sparse matrix too."""
    squares = matrix.multiply(matrix) if hasattr(matrix, "multiply") else np.square(matrix)
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    spread = np.asarray(squares.mean(axis=0)).ravel() - np.square(mean)
    deviations: npt.NDArray[np.float64] = np.sqrt(np.maximum(spread, 0.0))
    return deviations
