"""This module fits labelers, which tell any number of classes apart by texts, numbers, categories.

It knows no artifacts: `train_labeler` makes a model of what it fits, and whoever only wants answers
for rows that were held out takes `out_of_fold_probabilities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from headrace.schemas import Column
from operators._encoding import Rows, Vector
from operators._labeler_estimators import Estimator, Settings, fit_answers, strength_of
from operators._labeler_inputs import Inputs, dense_names, fit_inputs, prepared
from operators._labeler_text import terms_of

if TYPE_CHECKING:
    import pandas as pd

Probabilities: TypeAlias = npt.NDArray[np.float64]
_CHUNK = 16_384


@dataclass(frozen=True, kw_only=True, eq=False)
class Counted:
    """These are training rows as an estimator takes them.

    Attributes:
        inputs: What they were made of.
        preparer: scikit-learn's transformer from prepared rows to the matrix.
        matrix: `(n_rows, n_columns)`, sparse where there are texts.
        terms: The terms of each text column.
    """

    inputs: Inputs
    preparer: Any
    matrix: Any
    terms: dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labeler:
    """This is a fitted labeler, ready to answer.

    Attributes:
        classes: All classes, in the order of the answers; one without examples has probability 0.
        inputs: What it looks at.
        pipeline: scikit-learn's pipeline from prepared rows to probabilities.
    """

    classes: tuple[str, ...]
    inputs: Inputs
    pipeline: Any

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the answers."""
        return self.classes

    def answers(self, rows: Rows) -> Probabilities:
        """Return how probable each class is; see `probabilities`."""
        return self.probabilities(rows)

    def probabilities(self, rows: Rows) -> Probabilities:
        """Return a probability for each row and class `(n_rows, n_classes)`; a row sums to 1.

        Args:
            rows: A frame, or a dict of columns, that has all features; nulls are allowed.

        Raises:
            DataError: A feature is missing or of the wrong type.
        """
        frame = prepared(rows, self.inputs)
        answers = np.zeros((len(frame), len(self.classes)))
        at = [self.classes.index(str(name)) for name in self.pipeline.classes_]
        for start in range(0, len(frame), _CHUNK):
            part = frame.iloc[start : start + _CHUNK]
            answers[start : start + len(part), at] = self.pipeline.predict_proba(part)
        return answers


def fit_labeler(
    rows: pd.DataFrame,
    answers: Sequence[str],
    *,
    classes: Sequence[str],
    inputs: Sequence[Column],
    text: Sequence[str] = (),
    estimator: Estimator = "logistic_regression",
    l2: float | None = None,
    n_estimators: int = 300,
    class_weight: Literal["none", "balanced"] = "none",
    weight: Vector | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Labeler:
    """Return a labeler that was fitted on rows and their answers.

    Args:
        rows: The training rows; nulls are allowed in all inputs.
        answers: The class of each row.
        classes: All classes, in the order that probabilities are to have.
        inputs: The columns to look at, as a schema describes them.
        text: Those of them whose words are read; they hold text.
        estimator: What is fitted.
        l2: Penalty on squared weights; None takes 0.01 where there are texts and 1 elsewhere.
        n_estimators: Trees of extra trees.
        class_weight: "balanced" lets all classes count the same.
        weight: How much each row counts; None for once.
        seed: For random draws.
        threads: Threads to fit trees with.

    Raises:
        DataError: Fewer than two classes have examples, or an input has no value at all.
    """
    settings = Settings(
        estimator=estimator,
        l2=strength_of(l2, text),
        n_estimators=n_estimators,
        class_weight=class_weight,
        seed=seed,
        threads=threads,
    )
    require_classes(answers)
    counted = counted_rows(rows, inputs, text)
    fitted = fit_answers(counted.matrix, np.asarray(answers, dtype=str), settings, weight)
    return labeler_of(counted, fitted, classes)


def labeler_of(counted: Counted, fitted: Any, classes: Sequence[str]) -> Labeler:
    """Return a labeler of what was fitted on counted rows."""
    from sklearn.pipeline import Pipeline

    pipeline = Pipeline([("inputs", counted.preparer), ("answer", fitted)])
    return Labeler(classes=tuple(classes), inputs=counted.inputs, pipeline=pipeline)


def require_classes(answers: Sequence[str] | npt.NDArray[np.str_]) -> None:
    """Refuse answers that are all the same, or none."""
    found = sorted({str(answer) for answer in answers})
    if len(found) < 2:
        only = f"'{found[0]}' in all {len(answers):,} rows" if found else "no row"
        raise DataError(
            f"There is nothing to tell apart: the answer is {only}.",
            remedy="Label rows of at least two classes.",
        )


def counted_rows(rows: pd.DataFrame, columns: Sequence[Column], text: Sequence[str]) -> Counted:
    """Return training rows as an estimator takes them."""
    from scipy import sparse  # type: ignore[import-untyped]
    from sklearn.compose import ColumnTransformer
    from sklearn.frozen import FrozenEstimator

    inputs = fit_inputs(rows, columns, text)
    frame = prepared(rows, inputs)
    steps: list[tuple[str, Any, Any]] = []
    parts: list[Any] = []
    terms: dict[str, tuple[str, ...]] = {}
    for name in inputs.texts:
        found = terms_of(frame[name].tolist(), column=name)
        # it has been fitted; texts are read once
        steps.append((name, FrozenEstimator(found.vectorizer), name))
        parts.append(found.matrix)
        terms[name] = found.names
    numbers = dense_names(inputs)
    if numbers:
        steps.append(("numbers", "passthrough", numbers))
        parts.append(frame[numbers].to_numpy(dtype=np.float64))
    preparer = ColumnTransformer(steps, sparse_threshold=1.0, verbose_feature_names_out=False)
    preparer.fit(frame.iloc[:1])
    matrix = sparse.hstack(parts, format="csr") if inputs.texts else parts[0]
    return Counted(inputs=inputs, preparer=preparer, matrix=matrix, terms=terms)
