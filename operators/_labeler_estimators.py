"""This module fits what tells classes apart once rows are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from operators._encoding import Vector

Estimator = Literal["logistic_regression", "extra_trees", "ridge"]
_MOST_STEPS = 1_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """These are the settings of a fit.

    Attributes:
        estimator: What is fitted on the numbers.
        l2: Penalty of logistic regression on squared weights.
        n_estimators: Trees of extra trees.
        class_weight: "balanced" lets all classes count the same.
        seed: For random draws.
        threads: Threads to fit trees with; the answers do not depend on it.
    """

    estimator: Estimator = "logistic_regression"
    l2: float
    n_estimators: int = 300
    class_weight: Literal["none", "balanced"] = "none"
    seed: int = 0
    threads: int = 1


def strength_of(l2: float | None, text: Sequence[str]) -> float:
    """Return the penalty of a fit: words are many and each says little, so theirs is small."""
    if l2 is not None:
        return l2
    return 0.01 if text else 1.0


def fit_answers(
    matrix: Any, answers: npt.NDArray[np.str_], settings: Settings, weight: Vector | None
) -> Any:
    """Return scikit-learn's estimator, fitted on counted rows."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    counts = _weights(answers, settings, weight)
    if settings.estimator == "extra_trees":
        trees = ExtraTreesClassifier(
            n_estimators=settings.n_estimators,
            n_jobs=settings.threads,
            random_state=settings.seed,
        )
        trees.fit(matrix, answers, sample_weight=counts)
        # the number of threads is no part of the model, and one row needs no second one
        return trees.set_params(n_jobs=1)
    strength = 1 / settings.l2 if settings.l2 > 0 else np.inf
    linear = LogisticRegression(C=strength, max_iter=_MOST_STEPS)
    with threadpool_limits(1):  # sums may depend on how threads share them
        return linear.fit(matrix, answers, sample_weight=counts)


def _weights(
    answers: npt.NDArray[np.str_], settings: Settings, weight: Vector | None
) -> Vector | None:
    if settings.class_weight == "none":
        return weight
    once = np.ones(len(answers)) if weight is None else weight
    names, at = np.unique(answers, return_inverse=True)
    sums = np.bincount(at, weights=once)
    balanced: Vector = once * (once.sum() / len(names) / sums)[at]
    return balanced
