"""This module asks a model how probable each class is, whether it knows two classes or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, Tabular
from headrace.errors import DefinitionError
from operators._encoding import Rows
from operators._labeler_file import LABELER, load_labeler
from operators.scoring import load

if TYPE_CHECKING:
    import pandas as pd

Probabilities: TypeAlias = npt.NDArray[np.float64]


def class_probabilities(
    model: Model, rows: Tabular[Any] | Rows, *, threads: int = 1
) -> tuple[tuple[str, ...], Probabilities]:
    """Return a model's classes, and how probable each is for each row.

    Args:
        model: A labeler, or a classification of two classes, in memory or in the store.
        rows: An artifact of rows, a frame, or a dict of columns, with the model's features; null
            features and unknown categories are allowed, other columns are passed over.
        threads: Most threads for one call, where the model's library can use several.

    Returns:
        The classes in the order of the card, and the probabilities `(n_rows, n_classes)`, of which
        each row sums to 1. A class that training had no example of has probability 0.

    Raises:
        DefinitionError: The model estimates a value, or any number of choices at once.
        DataError: A feature is missing or of the wrong type.
    """
    card = model.card
    if card.task == "tagging":
        raise DefinitionError(
            f"The {card.flavor} model {model.digest[:12]} answers with any number of "
            f"{len(card.classes)} choices: their probabilities do not sum to 1.",
            remedy="Ask `label_by_model` with the schema of these choices.",
        )
    if card.task != "classification":
        raise DefinitionError(
            f"The {card.flavor} model {model.digest[:12]} estimates '{card.label}', a value: there "
            "are no classes that could be probable.",
            remedy="Give a model of classes, from `train_labeler` or a trainer with "
            'task="classification".',
        )
    frame = _frame(rows, card.feature_names) if isinstance(rows, Tabular) else rows
    if card.flavor == LABELER:
        return card.classes, load_labeler(model).answers(frame)
    positive = load(model, threads=threads).score(frame)
    return card.classes, np.column_stack([1.0 - positive, positive])


def _frame(rows: Tabular[Any], names: tuple[str, ...]) -> pd.DataFrame:
    table = rows.arrow()
    # what is missing is named by who reads the features
    frame: pd.DataFrame = table.select([n for n in table.column_names if n in names]).to_pandas()
    return frame
