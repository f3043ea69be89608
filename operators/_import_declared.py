"""This module gathers what is said of a model that was trained elsewhere, before it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.errors import ParameterError
from headrace.models import Task
from operators._import_headrace import declared_by_card
from operators._import_signature import BINARY, Declared, agreed_features, listed
from operators._import_source import found_model


def declared(parameters: Mapping[str, Any]) -> Declared:
    """Return what the parameters and an `MLmodel` say of a model, or refuse what cannot be.

    Args:
        parameters: Those of `import_model`.

    Raises:
        DataError: The model is not there, or in no format that can be read.
        ParameterError: The signature is missing, or does not fit the task or itself.
        SchemaError: The parameters name other features than the `MLmodel`.
    """
    source = found_model(str(parameters["path"]))
    task: Task = parameters["task"]
    classes = parameters["classes"]
    if task == "estimation" and classes is not None:
        raise ParameterError(
            f"Classes {listed(classes)} are named, but an estimation has none.",
            remedy="Leave `classes` out, or set task='classification'.",
        )
    if source.format == "headrace":
        return declared_by_card(source, parameters)
    features = agreed_features(source, parameters["features"])
    if parameters["label"] in {f.name for f in features}:
        raise ParameterError(
            f"'{parameters['label']}' is the label and among the features of '{source.name}'.",
            remedy="A model that is given its label predicts nothing; name the right label.",
        )
    if classes is None:
        classes = BINARY if task == "classification" else ()
    return Declared(
        source=source,
        task=task,
        label=str(parameters["label"]),
        features=features,
        classes=tuple(classes),
        example=parameters["example"] or source.example,
    )
