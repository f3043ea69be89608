"""This module asks models of several choices and of numbers what they answer, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, Tabular
from headrace.errors import DefinitionError
from headrace.labels.schema import LabelSchema
from operators._encoding import Rows
from operators._labeler_file import LABELER, load_labeler
from operators._labeler_numbers import NumberLabeler
from operators.scoring import load

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
_DIGITS = 2  # beyond the leading digit of the usual error, what is suggested says nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """These are a model's numbers for rows.

    Attributes:
        value: The number of each row, within the limits that the model knows.
        members: What its members say `(n_rows, n_members)`; None where it has none.
    """

    value: Floats
    members: Floats | None


def choice_probabilities(model: Model, rows: Tabular[Any] | Rows) -> Floats:
    """Return how probably each choice applies `(n_rows, n_choices)`, in the order of the card.

    Args:
        model: A labeler of several choices.
        rows: An artifact of rows, a frame, or a dict of columns, with the model's features.

    Raises:
        DefinitionError: The model answers otherwise.
        DataError: A feature is missing or of the wrong type.
    """
    if model.card.task != "tagging":
        raise wrong_answers(model, "several choices at once")
    return load_labeler(model).answers(_frame(rows, model))


def estimates(model: Model, rows: Tabular[Any] | Rows) -> Estimates:
    """Return a model's numbers.

    Args:
        model: A labeler of numbers, or another estimation.
        rows: An artifact of rows, a frame, or a dict of columns, with the model's features.

    Raises:
        DefinitionError: The model answers otherwise.
        DataError: A feature is missing or of the wrong type.
    """
    if model.card.task != "estimation":
        raise wrong_answers(model, "a number")
    frame = _frame(rows, model)
    if model.card.flavor != LABELER:
        return Estimates(value=load(model).score(frame), members=None)
    labeler = load_labeler(model)
    if not isinstance(labeler, NumberLabeler):  # pragma: no cover - the card says that it is one
        raise TypeError(type(labeler).__name__)
    said = labeler.members(frame)
    return Estimates(
        value=np.clip(said[:, 0], labeler.low, labeler.high),
        members=said[:, 1:] if said.shape[1] > 2 else None,
    )


def written_sets(probabilities: Floats, schema: LabelSchema) -> list[str]:
    """Return the choices that apply to each row, from 0.5 on, as the schema writes them."""
    return [
        schema.read([c for c, p in zip(schema.choices, row, strict=True) if p >= 0.5])
        for row in probabilities
    ]


def sureness_of_sets(probabilities: Floats) -> Floats:
    """Return how sure each set of choices is: as sure as the least sure of its choices."""
    sure: Floats = np.maximum(probabilities, 1 - probabilities).min(axis=1)
    return sure


def written_numbers(values: Floats, schema: LabelSchema, usual_error: float | None) -> list[str]:
    """Return numbers as the schema writes them, with as many digits as the usual error leaves.

    Args:
        values: The numbers; what lies outside of the schema's limits becomes the limit.
        schema: What may be answered.
        usual_error: How far they usually are from the truth; None keeps six digits.
    """
    low = -np.inf if schema.low is None else schema.low
    high = np.inf if schema.high is None else schema.high
    kept = [f"{value:.6g}" for value in values]
    if usual_error is not None and usual_error > 0:
        digits = _DIGITS - 1 - int(np.floor(np.log10(usual_error)))
        kept = [str(round(float(value), digits)) for value in values]
    return [schema.read(float(np.clip(float(each), low, high))) for each in kept]


def wrong_answers(model: Model, wanted: str) -> DefinitionError:
    """Return the refusal of a model that does not answer with what is wanted."""
    card = model.card
    does = {
        "classification": "one of several classes",
        "tagging": "several choices at once",
        "estimation": f"a number ('{card.label}')",
    }[card.task]
    return DefinitionError(
        f"The {card.flavor} model {model.digest[:12]} answers with {does}, not with {wanted}.",
        remedy="Give a model of labels of this schema: `examples_from_labels`, then "
        "`train_labeler(..., schema=...)`.",
    )


def _frame(rows: Tabular[Any] | Rows, model: Model) -> Rows:
    if not isinstance(rows, Tabular):
        return rows
    table, names = rows.arrow(), model.card.feature_names
    frame: pd.DataFrame = table.select([n for n in table.column_names if n in names]).to_pandas()
    return frame
