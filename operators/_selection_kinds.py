"""This module says what to ask next where answers are several choices or numbers.

Several choices: the doubt about each is one less the distance of its two probabilities, and an item
is worth that about its most doubtful choice (Brinker, "On active learning in multi-label
classification", 2006). Numbers: the standard deviation of what the members of a model estimate.
Neither is between classes, so both stand beside `_selection_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model
from headrace.errors import DefinitionError
from headrace.labels.schema import LabelSchema
from operators._model_answers import (
    choice_probabilities,
    estimates,
    sureness_of_sets,
    written_numbers,
    written_sets,
    wrong_answers,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
TASKS = {"multi": "tagging", "number": "estimation"}


def require_kind(model: Model, schema: LabelSchema) -> None:
    """Refuse a model that does not give the answers of a schema.

    Raises:
        DefinitionError: It answers otherwise, or knows other choices.
    """
    card = model.card
    if card.task != TASKS[schema.kind]:
        raise wrong_answers(
            model, "a number" if schema.kind == "number" else "several choices at once"
        )
    if schema.kind == "multi" and card.classes != schema.choices:
        raise DefinitionError(
            f"The model knows the choices {', '.join(card.classes)}; the schema has "
            f"{', '.join(schema.choices)}.",
            remedy="Train it on labels of this schema.",
        )


def doubt_of_kind(
    models: Sequence[Model], frame: pd.DataFrame, schema: LabelSchema, strategy: str
) -> Floats | None:
    """Return how much a label of each row would tell; None where no model can say.

    Args:
        models: The model, or a committee of them.
        frame: The rows.
        schema: What may be answered.
        strategy: For several choices "margin" takes the doubt about the most doubtful of them,
            "entropy" the mean entropy, and "disagreement" the mean deviation over the committee.
    """
    if schema.kind == "number":
        return _disagreement_of_numbers(models, frame)
    members = [choice_probabilities(model, frame) for model in models]
    if strategy == "disagreement":
        spread: Floats = np.std(members, axis=0).mean(axis=1)
        return spread
    mean = np.mean(members, axis=0)
    return choices_doubt(mean, entropy=strategy == "entropy")


def choices_doubt(probabilities: Floats, *, entropy: bool) -> Floats:
    """Return the largest doubt about a choice of each row, or the mean entropy; 0 to 1."""
    if not entropy:
        doubt: Floats = (1.0 - np.abs(2.0 * probabilities - 1.0)).max(axis=1)
        return doubt
    inner = np.clip(probabilities, 1e-12, 1 - 1e-12)
    bits: Floats = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner)).mean(axis=1)
    return bits


def suggestions_of_kind(
    models: Sequence[Model], frame: pd.DataFrame, schema: LabelSchema
) -> list[tuple[str, float | None]]:
    """Return what models suggest for each row, and how sure they are; of numbers nobody knows."""
    if schema.kind == "number":
        values = np.mean([estimates(model, frame).value for model in models], axis=0)
        usual = models[0].card.metrics.get("mae")
        return [(each, None) for each in written_numbers(values, schema, usual)]
    mean = np.mean([choice_probabilities(model, frame) for model in models], axis=0)
    return list(zip(written_sets(mean, schema), map(float, sureness_of_sets(mean)), strict=True))


def _disagreement_of_numbers(models: Sequence[Model], frame: pd.DataFrame) -> Floats | None:
    said: list[Any] = [estimates(model, frame) for model in models]
    if len(said) > 1:
        spread: Floats = np.std([each.value for each in said], axis=0)
        return spread
    members = said[0].members
    return None if members is None else np.asarray(members.std(axis=1))
