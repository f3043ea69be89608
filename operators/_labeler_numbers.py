"""This module fits labelers that estimate a number, with members that may disagree.

One fit answers. Beside it ten members are fitted on rows drawn anew with replacement: how far apart
they are says where more labels would tell most (RayChaudhuri and Hamey, "Minimisation of data
collection by active learning", ICNN 1995; Burbidge, Rowland and King, "Active learning for
regression based on query by committee", IDEAL 2007). Trees are members of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from operators._encoding import Rows, Vector
from operators._labeler_estimators import Settings
from operators._labeler_inputs import Inputs, prepared

Floats = npt.NDArray[np.float64]
MEMBERS = 10
FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
_LEAST_FOR_FOLDS = 10
_TREES_TO_CHOOSE = 50
_CHUNK = 16_384
_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberLabeler:
    """This is a fitted labeler of numbers, ready to answer.

    Attributes:
        inputs: What it looks at.
        pipeline: scikit-learn's pipeline from prepared rows to estimates.
        low: The least that may be answered; None for no limit.
        high: The most.
    """

    inputs: Inputs
    pipeline: Any
    low: float | None
    high: float | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the answers."""
        return ("estimate",)

    def answers(self, rows: Rows) -> Floats:
        """Return the estimate of each row `(n_rows, 1)`, within the limits."""
        return np.clip(self.members(rows)[:, :1], self.low, self.high)

    def members(self, rows: Rows) -> Floats:
        """Return what each row is estimated at: by the fit on all rows first, then by each member.

        Args:
            rows: A frame, or a dict of columns, that has all features; nulls are allowed.

        Returns:
            `(n_rows, 1 + n_members)`, not yet within the limits.

        Raises:
            DataError: A feature is missing or of the wrong type.
        """
        frame = prepared(rows, self.inputs)
        fitted = self.pipeline["answer"]
        found = []
        for start in range(0, len(frame), _CHUNK):
            matrix = self.pipeline["inputs"].transform(frame.iloc[start : start + _CHUNK])
            found.append(estimated(fitted, matrix))
        return np.concatenate(found) if found else np.empty((0, 1))


def fit_numbers(matrix: Any, values: Vector, settings: Settings, weight: Vector | None) -> Any:
    """Return scikit-learn's estimator of numbers, fitted on counted rows, with its members."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if settings.estimator == "extra_trees":
        return _trees(matrix, values, settings, weight)
    with threadpool_limits(1):  # sums may depend on how threads share them
        return _linear(matrix, values, settings, weight)


def estimated(fitted: Any, matrix: Any) -> Floats:
    """Return what a fit and its members estimate `(n_rows, 1 + n_members)`."""
    if hasattr(fitted, "estimators_"):
        rows = matrix.astype(np.float32)
        each = np.column_stack([tree.predict(rows) for tree in fitted.estimators_])
        return np.column_stack([each.mean(axis=1), each])
    return np.asarray(fitted.predict(matrix), dtype=np.float64)


def require_numbers(values: Vector) -> None:
    """Refuse numbers that are all the same, or none."""
    if len(values) and values.min() < values.max():
        return
    only = f"{values[0]:g} in all {len(values):,} rows" if len(values) else "no row"
    raise DataError(
        f"There is nothing to estimate: the answer is {only}.",
        remedy="Label rows of different numbers.",
    )


def chosen_by_folds(
    matrix: Any,
    values: Vector,
    candidates: list[Settings],
    weight: Vector | None,
    *,
    groups: npt.NDArray[np.int64] | None = None,
) -> tuple[Settings, dict[str, float]]:
    """Return the settings of least mean absolute error on rows that the fit did not see.

    Args:
        matrix: The counted rows.
        values: The number of each.
        candidates: The settings to choose among; of equal ones the first.
        weight: How much each row counts.
        groups: Rows of one group are never on both sides; None: each row by itself.

    Returns:
        The settings, and the error of each candidate by its name; none is measured where there are
        too few rows or groups to hold some out, and the first is taken then.
    """
    named = np.arange(len(values)) if groups is None else groups
    if len(np.unique(named)) < _LEAST_FOR_FOLDS or len(candidates) == 1:
        return candidates[0], {}
    errors = {}
    for settings in candidates:
        few = replace(settings, n_estimators=min(settings.n_estimators, _TREES_TO_CHOOSE))
        found = out_of_fold_estimates(matrix, values, few, weight, groups=named)
        errors[_name(settings)] = float(np.abs(found[:, 0] - values).mean())
    best = min(range(len(candidates)), key=lambda at: (errors[_name(candidates[at])], at))
    return candidates[best], errors


def out_of_fold_estimates(
    matrix: Any,
    values: Vector,
    settings: Settings,
    weight: Vector | None,
    *,
    groups: npt.NDArray[np.int64],
    folds: int = FOLDS,
) -> Floats:
    """Return estimates `(n_rows, 1)` by fits on other rows; groups stay whole."""
    from threadpoolctl import threadpool_limits

    part = _folds(groups, folds, settings.seed)
    found = np.zeros((len(values), 1))
    for fold in range(int(part.max()) + 1):
        held, rest = np.flatnonzero(part == fold), np.flatnonzero(part != fold)
        own = None if weight is None else weight[rest]
        fit = _trees if settings.estimator == "extra_trees" else _one_linear
        with threadpool_limits(1):
            fitted = fit(matrix[rest], values[rest], settings, own)
        found[held] = estimated(fitted, matrix[held]).reshape(len(held), -1)[:, :1]
    return found


def _folds(groups: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    names, unit = np.unique(groups, return_inverse=True)
    dealt = np.empty(len(names), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(names))
    dealt[order] = np.arange(len(names)) % min(folds, len(names))
    part: npt.NDArray[np.int64] = dealt[unit]
    return part


def _name(settings: Settings) -> str:
    return settings.estimator if settings.estimator != "ridge" else f"ridge {settings.l2:g}"


def _trees(matrix: Any, values: Vector, settings: Settings, weight: Vector | None) -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(
        n_estimators=settings.n_estimators, n_jobs=settings.threads, random_state=settings.seed
    )
    trees.fit(matrix, values, sample_weight=weight)
    return trees.set_params(n_jobs=1)


def _linear(matrix: Any, values: Vector, settings: Settings, weight: Vector | None) -> Any:
    """Return one estimator whose first output is the fit, and whose others are its members."""
    fitted = _one_linear(matrix, values, settings, weight)
    draw = np.random.default_rng(settings.seed)
    coefficients, intercepts = [fitted.coef_], [float(fitted.intercept_)]
    for _ in range(MEMBERS):
        count = np.bincount(draw.integers(len(values), size=len(values)), minlength=len(values))
        drawn = np.flatnonzero(count)
        often = count[drawn] if weight is None else count[drawn] * weight[drawn]
        if often.sum() == 0:
            continue
        member = _one_linear(matrix[drawn], values[drawn], settings, often.astype(np.float64))
        coefficients.append(member.coef_)
        intercepts.append(float(member.intercept_))
    fitted.coef_ = np.vstack(coefficients)
    fitted.intercept_ = np.asarray(intercepts)
    return fitted


def _one_linear(matrix: Any, values: Vector, settings: Settings, weight: Vector | None) -> Any:
    from sklearn.linear_model import Ridge

    sparse = hasattr(matrix, "tocsr")
    solver = "sparse_cg" if sparse else "cholesky"
    # without a penalty a matrix of more columns than rows has no one solution
    linear = Ridge(alpha=max(settings.l2, 1e-9), solver=solver, tol=_TOLERANCE)
    fitted = linear.fit(matrix, values, sample_weight=weight)
    fitted.solver_ = solver
    return fitted
