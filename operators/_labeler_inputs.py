"""This module prepares rows for a labeler: texts as text, all else as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, did_you_mean
from headrace.models import ModelCard, ModelFeature
from headrace.schemas import Column
from operators._dense import fit_dense, one_hot, one_hot_owners
from operators._encoding import Matrix, Rows, encode, fit_features

if TYPE_CHECKING:
    import pandas as pd

TEXT = "string"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """These are what a labeler looks at.

    Attributes:
        features: All of them, in the order of the schema; texts have the type "string" and no
            categories.
        dense: Constants of `fit_dense` for those that are no texts; empty where all are.
    """

    features: tuple[ModelFeature, ...]
    dense: Mapping[str, Any]

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the text columns."""
        return tuple(f.name for f in self.features if is_text(f))

    @property
    def others(self) -> tuple[ModelFeature, ...]:
        """The features that are no texts."""
        return tuple(f for f in self.features if not is_text(f))

    @property
    def owners(self) -> list[str]:
        """The feature behind each column that is no term, in their order."""
        if not self.others:
            return []
        return [self.others[owner].name for owner in one_hot_owners(self.dense)]


def is_text(feature: ModelFeature) -> bool:
    """Return whether a labeler reads the words of a feature."""
    return feature.dtype == TEXT and feature.categories is None


def fit_inputs(frame: pd.DataFrame, columns: Sequence[Column], text: Sequence[str]) -> Inputs:
    """Return what the training rows say of a labeler's inputs.

    Args:
        frame: The training rows.
        columns: The feature columns, in order.
        text: Those of them whose words are read.

    Raises:
        DataError: A column has no value at all.
    """
    import numpy as np

    coded = {f.name: f for f in fit_features(frame, [c for c in columns if c.name not in text])}
    features = tuple(
        coded.get(c.name) or ModelFeature(name=c.name, dtype=TEXT, source=c.source) for c in columns
    )
    inputs = Inputs(features=features, dense={})
    if not inputs.others:
        return inputs
    matrix = _encoded(frame, inputs)
    empty = [
        f.name for f, c in zip(inputs.others, matrix.T, strict=True) if bool(np.isnan(c).all())
    ]
    if empty:
        listed = ", ".join(f"'{name}'" for name in empty)
        raise DataError(
            f"The training set has no value at all in feature{'s' * (len(empty) > 1)} {listed}.",
            remedy="Leave it out of the features, or correct its view: nothing can be learnt "
            "from it.",
        )
    return replace(inputs, dense=fit_dense(matrix, inputs.others))


def prepared(rows: Rows, inputs: Inputs) -> pd.DataFrame:
    """Return the frame that the estimator takes: text columns, then numbers.

    Args:
        rows: Values by column; None and NaN are null, and a null text has no words.
        inputs: What the labeler was fitted on.

    Raises:
        DataError: A feature is missing or of the wrong type.
    """
    import pandas as pd

    columns: dict[str, Any] = {name: texts_of(rows, name) for name in inputs.texts}
    if inputs.others:
        dense = one_hot(_encoded(rows, inputs), inputs.dense)
        columns |= dict(zip(dense_names(inputs), dense.T, strict=True))
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        named = ", ".join(f"'{name}' {length:,}" for name, length in lengths.items())
        raise DataError(
            f"The columns of features are not equally long: {named}.",
            remedy="Give every feature one value a row; a null where it is not known.",
        )
    return pd.DataFrame(columns)


def dense_names(inputs: Inputs) -> list[str]:
    """Return the names of the columns of numbers, such as "3: carrier"."""
    return [f"{number}: {owner}" for number, owner in enumerate(inputs.owners)]


def texts_of(rows: Rows, name: str) -> list[str]:
    """Return a column of texts, "" for nulls.

    Raises:
        DataError: The column is missing, or holds what is no text.
    """
    if name not in rows:
        raise DataError(
            f"The rows lack feature '{name}', which the labeler model was fitted on."
            f"{did_you_mean(name, [str(each) for each in rows])}",
            remedy="Give every feature of the model's card; a null where it is not known.",
        )
    values: Any = rows[name]
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    texts = ["" if value is None or _is_nan(value) else value for value in listed]
    wrong = next((value for value in texts if not isinstance(value, str)), None)
    if wrong is not None:
        raise DataError(
            f"Feature '{name}' is text but holds {wrong!r}.",
            remedy="Give it as text, or as null where it is not known.",
        )
    return texts


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _encoded(rows: Rows, inputs: Inputs) -> Matrix:
    others = ModelCard(task="classification", flavor="labeler", features=inputs.others, label="")
    return encode(rows, others)
