"""This module opens models that another Headrace trained: their card says what there is to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, ParameterError
from headrace.models import ModelCard
from operators._encoding import Vector, encode
from operators._import_opened import Opened
from operators._import_signature import Declared, require_same_names
from operators._import_source import Source
from operators.scoring import MODEL_FILE, load_scorer

if TYPE_CHECKING:
    import pandas as pd


def declared_by_card(source: Source, parameters: Mapping[str, Any]) -> Declared:
    """Return what a card says, once it is what the parameters say.

    Raises:
        DataError: The card cannot be read, or is of a flavor that no runtime scores.
        ParameterError: Task or label are others.
        SchemaError: The parameters name other features.
    """
    card = read_card(source)
    for what in ("task", "label"):
        said, known = parameters[what], getattr(card, what)
        if said != known:
            raise ParameterError(
                f"The {what} of the model in '{source.name}' is '{known}', not '{said}'.",
                remedy=f"Set {what}='{known}'.",
            )
    if parameters["features"] is not None:
        named = [f.name for f in parameters["features"]]
        require_same_names(source.name, card.feature_names, named)
    return Declared(
        source=source,
        task=card.task,
        label=card.label,
        features=card.features,
        classes=card.classes,
        example=card.example,
    )


def read_card(source: Source) -> ModelCard:
    """Return the card of a model that Headrace wrote.

    Raises:
        DataError: It cannot be read, or is of a flavor that no runtime scores.
    """
    try:
        card = ModelCard.from_json(json.loads(source.file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{source.file}' is not the card of a model: {type(error).__name__}: {error}.",
            remedy="Give the folder of a model that Headrace wrote.",
        ) from error
    if card.flavor not in MODEL_FILE:
        raise DataError(
            f"The model in '{source.name}' is of flavor '{card.flavor}', which nothing here "
            "scores.",
            remedy="Update this Headrace to the version that wrote it.",
        )
    return card


def open_headrace(declared: Declared) -> Opened:
    """Return a model that another Headrace trained, torch's among them."""
    source, card = declared.source, read_card(declared.source)
    file = MODEL_FILE[card.flavor]
    files = {file: _content(source, source.file.with_name(file))}

    def own(rows: pd.DataFrame) -> Vector:
        # our own runtime is this model's library
        return load_scorer(card, files.__getitem__).scores(encode(rows, card))

    return Opened(
        flavor=card.flavor,
        files=files,
        features=card.features,
        classes=card.classes,
        kind=f"Headrace {card.parameters.get('estimator', card.flavor)}",
        own=own,
        extra=card.extra,
    )


def _content(source: Source, file: Path) -> bytes:
    if not file.is_file():
        raise DataError(
            f"'{source.name}' has a card but no file '{file.name}'.",
            remedy="Copy the whole folder of the model.",
        )
    return file.read_bytes()
