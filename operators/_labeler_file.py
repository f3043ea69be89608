"""This module writes a labeler as files of a model, and reads it back; no pickle is involved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headrace.artifacts import Model
from headrace.models import ModelCard
from operators._labeler_fit import Labeler
from operators._labeler_inputs import Inputs
from operators._skops_bytes import read_estimator, write_estimator

LABELER = "labeler"
LABELER_FILE = "model.skops"


def write_labeler(labeler: Labeler) -> dict[str, bytes]:
    """Return the files of a labeler, the same bytes for the same labeler."""
    looked_up = {id(terms): terms.__dict__.pop("vocabulary_", None) for terms in _terms(labeler)}
    try:
        return {LABELER_FILE: write_estimator(labeler.pipeline)}
    finally:
        for terms in _terms(labeler):
            if looked_up[id(terms)] is not None:
                terms.vocabulary_ = looked_up[id(terms)]


def read_labeler(card: ModelCard, read: Callable[[str], bytes]) -> Labeler:
    """Return a labeler from its card and a function that reads a model's files by name."""
    inputs = Inputs(features=card.features, dense=card.extra["dense"])
    pipeline = read_estimator(read(LABELER_FILE))
    labeler = Labeler(classes=card.classes, inputs=inputs, pipeline=pipeline)
    for terms in _terms(labeler):
        terms.transform([""])  # builds its look-up, which two threads must not do at once
    return labeler


def load_labeler(model: Model) -> Labeler:
    """Return the labeler that a model is."""
    return read_labeler(model.card, model.read)


def _terms(labeler: Labeler) -> Iterator[Any]:
    for name, step, _ in labeler.pipeline["inputs"].transformers_:
        if name in labeler.inputs.texts:
            yield step.estimator["terms"]
