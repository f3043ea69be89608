"""This module writes a labeler as files of a model, and reads it back; no pickle is involved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headrace.artifacts import Model
from headrace.models import ModelCard
from operators._labeler_fit import Labeler
from operators._labeler_inputs import Inputs
from operators._labeler_numbers import NumberLabeler
from operators._labeler_tags import TagLabeler
from operators._skops_bytes import read_estimator, write_estimator

AnyLabeler = Labeler | TagLabeler | NumberLabeler
LABELER = "labeler"
LABELER_FILE = "model.skops"


def write_labeler(labeler: AnyLabeler) -> dict[str, bytes]:
    """Return the files of a labeler, the same bytes for the same labeler."""
    # an order and an address in memory: both are of this process alone, and use makes them anew
    own = ("vocabulary_", "_stop_words_id")
    held = [
        (terms, {name: terms.__dict__.pop(name) for name in own if name in terms.__dict__})
        for terms in _terms(labeler)
    ]
    try:
        return {LABELER_FILE: write_estimator(labeler.pipeline)}
    finally:
        for terms, kept in held:
            terms.__dict__.update(kept)


def read_labeler(card: ModelCard, read: Callable[[str], bytes]) -> AnyLabeler:
    """Return a labeler from its card and a function that reads a model's files by name."""
    inputs = Inputs(features=card.features, dense=card.extra["dense"])
    labeler = _made(card, inputs, read_estimator(read(LABELER_FILE)))
    for terms in _terms(labeler):
        terms.transform([""])  # builds its look-up, which two threads must not do at once
    return labeler


def load_labeler(model: Model) -> AnyLabeler:
    """Return the labeler that a model is."""
    return read_labeler(model.card, model.read)


def _made(card: ModelCard, inputs: Inputs, pipeline: Any) -> AnyLabeler:
    if card.task == "estimation":
        low, high = card.extra["low"], card.extra["high"]
        return NumberLabeler(inputs=inputs, pipeline=pipeline, low=low, high=high)
    if card.task == "tagging":
        return TagLabeler(classes=card.classes, inputs=inputs, pipeline=pipeline)
    return Labeler(classes=card.classes, inputs=inputs, pipeline=pipeline)


def _terms(labeler: AnyLabeler) -> Iterator[Any]:
    for name, step, _ in labeler.pipeline["inputs"].transformers_:
        if name in labeler.inputs.texts:
            yield step.estimator["terms"]
