"""This module takes a linear model apart, exactly: each feature adds a term of its own.

Against reference rows, a feature's contribution is its term less the mean of its terms there; these
are the Shapley values of the model with features replaced by those of the reference rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.models import ModelCard
from operators._contributions import Contributions, Explain, Space
from operators._dense import one_hot, one_hot_owners
from operators._encoding import Matrix, Vector
from operators._skops_bytes import read_estimator


def linear_contributions(card: ModelCard, content: bytes, reference: Matrix) -> Explain | None:
    """Return what takes a linear model's answers apart; None where it is not linear.

    Args:
        card: The model's card.
        content: The estimator in skops' format.
        reference: Encoded rows that answers are compared with.
    """
    from sklearn.linear_model import (
        ElasticNet,
        Lasso,
        LinearRegression,
        LogisticRegression,
        Ridge,
    )

    estimator = read_estimator(content)
    known = (ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge)
    if type(estimator) not in known or card.extra.get("takes") == "frame":
        return None
    coefficients = np.ravel(estimator.coef_).astype(np.float64)
    intercept = float(np.ravel(estimator.intercept_)[0])
    constants: Any = card.extra.get("dense")
    owners = range(len(card.features)) if constants is None else one_hot_owners(constants)
    of = np.zeros((len(coefficients), len(card.features)))
    of[np.arange(len(coefficients)), list(owners)] = coefficients

    def terms(matrix: Matrix) -> Vector:
        wide = matrix if constants is None else one_hot(matrix, constants)
        summed: Vector = wide.astype(np.float64) @ of
        return summed

    means = terms(reference).mean(axis=0)
    base = intercept + float(means.sum())
    space: Space = "log_odds" if card.task == "classification" else "estimate"

    def explain(matrix: Matrix) -> list[Contributions]:
        return [
            Contributions(method="linear", space=space, base=base, values=row)
            for row in terms(matrix) - means
        ]

    return explain
