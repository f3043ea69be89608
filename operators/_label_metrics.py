"""This module says by what measure models of labels are judged: what is lost on each item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Model, ValidationSet
from headrace.errors import DataError
from headrace.labels.schema import Kind, LabelSchema
from operators._labeler_kinds import numbers_of, tags_of
from operators._labeler_kinds_metrics import hamming_losses, jaccard_losses, subset_losses
from operators._model_answers import choice_probabilities, estimates

Floats = npt.NDArray[np.float64]
LossMetric = Literal["jaccard", "subset_accuracy", "hamming_loss", "mae", "mse"]
MetricName = Literal["accuracy", "jaccard", "subset_accuracy", "hamming_loss", "mae", "mse"]


@dataclass(frozen=True, kw_only=True)
class LabelMetric:
    """This is a measure that is the mean of something over items.

    Attributes:
        name: What it is called.
        kind: Of which answers.
        lower_is_better: Which way is better.
        is_share: Whether it is between 0 and 1.
        squared: Whether its unit is the square of the answers'.
    """

    name: MetricName
    kind: Kind
    lower_is_better: bool
    is_share: bool = True
    squared: bool = False

    def of_loss(self, loss: float) -> float:
        """Return the metric that a mean loss comes to."""
        return loss if self.lower_is_better else 1.0 - loss

    def loss_of(self, value: float) -> float:
        """Return the mean loss that a value of the metric stands for."""
        return self.of_loss(value)

    def document(self, schema: LabelSchema) -> dict[str, Any]:
        """Return it as JSON-like data, with the unit that the answers have."""
        unit = "" if self.is_share else schema.unit
        return {
            "name": self.name,
            "lower_is_better": self.lower_is_better,
            "unit": f"{unit}²" if unit and self.squared else unit,
        }


METRICS: dict[str, LabelMetric] = {
    each.name: each
    for each in (
        LabelMetric(name="accuracy", kind="single", lower_is_better=False),
        LabelMetric(name="jaccard", kind="multi", lower_is_better=False),
        LabelMetric(name="subset_accuracy", kind="multi", lower_is_better=False),
        LabelMetric(name="hamming_loss", kind="multi", lower_is_better=True),
        LabelMetric(name="mae", kind="number", lower_is_better=True, is_share=False),
        LabelMetric(name="mse", kind="number", lower_is_better=True, is_share=False, squared=True),
    )
}
USUAL: dict[str, MetricName] = {"single": "accuracy", "multi": "jaccard", "number": "mae"}


def losses_of(
    model: Model, validation: ValidationSet[Any], schema: LabelSchema, metric: LabelMetric
) -> Floats:
    """Return what a model loses on each row of the random slice.

    Raises:
        DefinitionError: The model answers otherwise.
        DataError: The random slice is empty, or the model cannot score it.
    """
    if not validation.rows:
        raise DataError(
            "The random slice has no labelled rows, so nothing can be judged by it.",
            remedy="Ask for labels with a `random_share` above 0, and wait for their answers.",
        )
    label = validation.frame()[model.card.label]
    if metric.kind == "number":
        expected = numbers_of(label, schema, what="random slice")
        error = np.abs(estimates(model, validation).value - expected)
        return np.square(error) if metric.squared else error
    applies = tags_of(label.tolist(), schema, what="random slice")
    return _OF_SETS[metric.name](applies, choice_probabilities(model, validation) >= 0.5)


_OF_SETS: dict[str, Callable[[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], Floats]] = {
    "jaccard": jaccard_losses,
    "subset_accuracy": subset_losses,
    "hamming_loss": hamming_losses,
}
