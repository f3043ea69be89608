"""This module answers for labelled rows by labelers that did not see their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.errors import ParameterError
from headrace.schemas import Column
from operators._encoding import Vector
from operators._labeler_estimators import Estimator, Settings, fit_answers, strength_of
from operators._labeler_fit import Probabilities, counted_rows, require_classes

if TYPE_CHECKING:
    import pandas as pd


def out_of_fold_probabilities(
    rows: pd.DataFrame,
    answers: Sequence[str],
    *,
    classes: Sequence[str],
    inputs: Sequence[Column],
    text: Sequence[str] = (),
    folds: int = 5,
    groups: Sequence[Any] | None = None,
    estimator: Estimator = "logistic_regression",
    l2: float | None = None,
    n_estimators: int = 300,
    class_weight: Literal["none", "balanced"] = "none",
    weight: Vector | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Probabilities:
    """Return probabilities for each row by a labeler that was fitted on other rows.

    Which terms there are, and how many texts hold them, is counted once over all rows, which tells
    nothing of their labels; what labels say is learnt anew for each fold.

    Args:
        rows: The rows; nulls are allowed in all inputs.
        answers: The class that each row is said to have.
        classes: All classes, in the order that probabilities are to have.
        inputs: The columns to look at, as a schema describes them.
        text: Those of them whose words are read.
        folds: How many parts; each is answered for by what was fitted on the others.
        groups: What each row belongs to; a group is never on both sides. None: each row by itself.
        estimator: As of `fit_labeler`, like all that follow.
        l2: See there.
        n_estimators: See there.
        class_weight: See there.
        weight: See there.
        seed: Also decides which row is in which fold.
        threads: See there.

    Returns:
        `(n_rows, n_classes)`; a class that the other folds have no example of has probability 0.

    Raises:
        ParameterError: There are fewer than two folds, or fewer rows or groups than folds.
        DataError: Fewer than two classes have examples.
    """
    require_classes(answers)
    named = np.asarray(answers, dtype=str)
    part = folds_of(named, folds=folds, groups=groups, seed=seed)
    settings = Settings(
        estimator=estimator,
        l2=strength_of(l2, text),
        n_estimators=n_estimators,
        class_weight=class_weight,
        seed=seed,
        threads=threads,
    )
    matrix = counted_rows(rows, inputs, text).matrix
    at = {name: position for position, name in enumerate(classes)}
    found = np.zeros((len(named), len(at)))
    for fold in range(folds):
        held, rest = np.flatnonzero(part == fold), np.flatnonzero(part != fold)
        if len(set(named[rest])) < 2:
            found[held, at[str(named[rest][0])]] = 1.0
            continue
        own = None if weight is None else weight[rest]
        fitted = fit_answers(matrix[rest], named[rest], settings, own)
        columns = np.array([at[str(name)] for name in fitted.classes_])
        found[held[:, None], columns] = fitted.predict_proba(matrix[held])
    return found


def folds_of(
    answers: npt.NDArray[np.str_], *, folds: int, groups: Sequence[Any] | None, seed: int
) -> npt.NDArray[np.int64]:
    """Return each row's fold: classes are dealt evenly, and groups stay whole.

    Raises:
        ParameterError: There are fewer than two folds, or fewer rows or groups than folds.
    """
    whole = np.arange(len(answers)) if groups is None else np.asarray([str(g) for g in groups])
    names, first, unit = np.unique(whole, return_index=True, return_inverse=True)
    if not 2 <= folds <= len(names):
        raise ParameterError(
            f"{len(names):,} {'rows' if groups is None else 'groups'} cannot be dealt into "
            f"{folds:,} folds.",
            remedy="Take at least two folds, and no more than there are rows or groups.",
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    # a group counts as what its first row is
    order = shuffled[np.argsort(answers[first][shuffled], kind="stable")]
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[order] = np.arange(len(names)) % folds
    part: npt.NDArray[np.int64] = dealt[unit]
    return part
