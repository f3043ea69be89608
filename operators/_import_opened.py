"""This module holds a model from elsewhere once it is opened, and proves that we score it right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import DataError
from headrace.models import ModelCard, ModelFeature
from operators._decoding import decoded
from operators._encoding import Vector, encode
from operators._parity import compared
from operators._probes import probe_rows
from operators.scoring import load_scorer

if TYPE_CHECKING:
    import pandas as pd

_PROBES = 500
_DECIMALS = 3
_MADE_UP = {"float": (0.0, 1.0, -1.0), "int": (0, 1, 2), "bool": (False, True, False)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """This is a model as its library reads it.

    Args:
        flavor: Which of our runtimes scores it.
        files: Its files as we keep them.
        features: Its inputs, in its order and with their categories.
        classes: Names of the two classes, the positive one last; empty for an estimation.
        kind: What it is in its library, such as "RandomForestClassifier".
        own: The library's own answers, read from the file as it came: from rows by name, numbers
            with all their digits, to one number a row.
        extra: What our runtime needs beside the files.
    """

    flavor: str
    files: Mapping[str, bytes]
    features: tuple[ModelFeature, ...]
    classes: tuple[str, ...]
    kind: str
    own: Callable[[pd.DataFrame], Vector]
    extra: Mapping[str, Any] = field(default_factory=dict)


def made_up(features: tuple[ModelFeature, ...]) -> dict[str, list[Any]]:
    """Return three rows of features, for a model that came without an example."""
    return {
        f.name: [(f.categories or (None,))[i % len(f.categories or (None,))] for i in range(3)]
        if f.dtype == "category"
        else list(_MADE_UP[f.dtype])
        for f in features
    }


def _rows(card: ModelCard) -> pd.DataFrame:
    """Return the example as it is, and rows made from it, as data comes.

    That is in 64 bits and with few decimals, of which 32 bits hold the nearest number only.
    """
    import pandas as pd

    made = decoded(probe_rows(card, _PROBES, seed=0), card).round(_DECIMALS)
    example = decoded(encode(card.example, card), card)
    for feature in card.features:
        if feature.categories is None:
            values = [np.nan if v is None else v for v in card.example[feature.name]]
            example[feature.name] = np.asarray(values, dtype=np.float64)
    return pd.concat([example, made], ignore_index=True)


def prove(opened: Opened, card: ModelCard, name: str) -> None:
    """Refuse a model that our runtime scores otherwise than its own library does.

    Both answer the example's rows, and rows made from them: with other values, extremes, every
    category, and nulls, since a request may lack what it likes.

    Args:
        opened: The model.
        card: Its card.
        name: Where it came from, for messages.

    Raises:
        DataError: The example lacks a feature or has it as another type; or the model cannot answer
            such rows, answers no number, or answers otherwise.
    """
    rows = _rows(card)
    probes = encode(rows, card)
    try:
        expected = opened.own(rows)
        found = load_scorer(card, opened.files.__getitem__).score(rows)
    except Exception as error:  # the libraries share no base of errors
        said = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(
            f"The model in '{name}' cannot answer rows of its signature in which values are null: "
            f"{type(error).__name__}: {said}.",
            remedy="A request may lack a value, so put what fills nulls in front of the model: "
            "`make_pipeline(SimpleImputer(), model)` in scikit-learn.",
        ) from error
    if expected.ndim != 1:
        raise DataError(
            f"The model in '{name}' answers {expected.shape[1]} numbers to a row.",
            remedy="Train one model for each, with one label.",
        )
    if not np.isfinite(expected).all():
        raise DataError(
            f"The model in '{name}' answers {expected[~np.isfinite(expected)][0]} to one of "
            f"{len(probes):,} probe rows.",
            remedy="Correct the model: an answer must be a number.",
        )
    _, why = compared(card, probes, expected, found)
    if why is not None:
        raise DataError(
            f"Headrace does not score the model in '{name}' as its own library does. {why}",
            remedy="Give the features as they were when the model was fitted: their order, types "
            "and categories; numbers that 32 bits hold.",
        )
