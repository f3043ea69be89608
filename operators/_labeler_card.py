"""This module fills in a labeler's card: what it learnt, and how well it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.models import ModelCard, ModelFeature
from operators._labeler_answers import Answers
from operators._labeler_file import read_labeler
from operators._labeler_fit import Counted
from operators._labeler_inputs import is_text
from operators._labeler_metrics import confusion_of, importance_of, labeler_metrics, words_of

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = ("numpy", "scikit-learn", "scipy", "skops")
_EXAMPLE_ROWS = 5
_EXAMPLE_LENGTH = 300  # of a text, in characters: enough to see what it is


def taught_card(card: ModelCard, counted: Counted, fitted: Any, answers: Answers) -> ModelCard:
    """Return the card with what was learnt from which examples.

    Args:
        card: The card as far as it is known before the fit.
        counted: The training rows, as the estimator took them.
        fitted: The estimator.
        answers: The class of each training row.
    """
    names, counts = np.unique(answers, return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return replace(
        card,
        importance=importance_of(counted, fitted),
        packages={name: version(name) for name in _PACKAGES},
        extra={
            "dense": dict(counted.inputs.dense),
            "examples": {name: found.get(name, 0) for name in card.classes},
            "words": words_of(counted, fitted),
        },
    )


def measured_card(
    card: ModelCard, files: Mapping[str, bytes], held: pd.DataFrame, expected: Answers
) -> ModelCard:
    """Return the card with what the written files answer for the validation set.

    Args:
        card: The card, complete but for that.
        files: The model's files.
        held: The validation rows.
        expected: The class of each.
    """
    found = read_labeler(card, files.__getitem__).answers(held)
    return replace(
        card,
        metrics=labeler_metrics(card.classes, expected, found),
        example=example_rows(held, card.features),
        extra={**card.extra, "confusion": confusion_of(card.classes, expected, found).tolist()},
    )


def example_rows(held: pd.DataFrame, features: Sequence[ModelFeature]) -> dict[str, list[Any]]:
    """Return the first rows of what a labeler looks at, long texts cut."""
    first = held[[feature.name for feature in features]].head(_EXAMPLE_ROWS)
    rows: dict[str, list[Any]] = {}
    for feature in features:
        column = first[feature.name]
        values = zip(column.tolist(), column.isna(), strict=True)
        rows[feature.name] = [None if missing else value for value, missing in values]
        if is_text(feature):
            cut = [None if text is None else text[:_EXAMPLE_LENGTH] for text in rows[feature.name]]
            rows[feature.name] = cut
    return rows
