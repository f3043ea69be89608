"""This module reads what MLflow writes beside a model: its flavor, signature and example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.errors import DataError
from headrace.models import ModelFeature

MLMODEL = "MLmodel"
_LOADER = "serving._pyfunc"  # of the models that Headrace logs
_DTYPES = {
    "double": "float",
    "float": "float",
    "long": "int",
    "integer": "int",
    "boolean": "bool",
    "string": "category",
}


@dataclass(frozen=True, kw_only=True)
class MlflowModel:
    """This is a model's folder as its `MLmodel` describes it.

    Args:
        flavor: The library that wrote the model's file.
        file: That file, relative to the folder.
        stored_as: How the file is written, such as "skops" or "cloudpickle".
        headrace: Where a model of ours has its files, relative to the folder; else None.
        features: The columns of the signature, in order; None without one.
        example: The rows that were saved with it, by column.
        versions: Library to version.
    """

    flavor: Literal["xgboost", "sklearn"]
    file: str = ""
    stored_as: str = ""
    headrace: str | None = None
    features: tuple[ModelFeature, ...] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def read_mlmodel(folder: Path) -> MlflowModel:
    """Return what a folder's `MLmodel` says.

    Raises:
        DataError: It is not YAML, names no flavor that can be read, or its signature holds
            columns that no model of ours takes.
    """
    described = _parsed(folder / MLMODEL)
    flavors = described.get("flavors") or {}
    function = flavors.get("python_function") or {}
    if function.get("loader_module") == _LOADER and function.get("data"):
        return MlflowModel(flavor="xgboost", headrace=str(function["data"]))
    features, example = _features(folder, described), _example(folder, described)
    if "xgboost" in flavors:
        found = flavors["xgboost"]
        return MlflowModel(
            flavor="xgboost",
            file=str(found.get("data", "model.ubj")),
            stored_as=str(found.get("model_format", "ubj")),
            features=features,
            example=example,
            versions={"xgboost": str(found.get("xgb_version", ""))},
        )
    if "sklearn" in flavors:
        found = flavors["sklearn"]
        return MlflowModel(
            flavor="sklearn",
            file=str(found.get("pickled_model", "model.skops")),
            stored_as=str(found.get("serialization_format", "pickle")),
            features=features,
            example=example,
            versions={"scikit-learn": str(found.get("sklearn_version", ""))},
        )
    named = ", ".join(f"'{name}'" for name in sorted(flavors)) or "none"
    raise DataError(
        f"The model in '{folder}' has the flavors {named}; 'xgboost' and 'sklearn' can be read.",
        remedy="Log it with `mlflow.xgboost` or `mlflow.sklearn`.",
    )


def _parsed(path: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        described = str(error).split("\n", 1)[0]
    if not isinstance(described, dict):
        raise DataError(
            f"'{path}' does not describe a model: {described}.",
            remedy="Save the model again with MLflow.",
        )
    return described


def _features(folder: Path, described: Mapping[str, Any]) -> tuple[ModelFeature, ...] | None:
    listed = (described.get("signature") or {}).get("inputs")
    if not listed:
        return None
    columns = json.loads(listed)
    if not all("name" in column for column in columns):
        return None  # of tensors: what the columns mean is written nowhere
    for column in columns:
        if column.get("type") not in _DTYPES:
            raise DataError(
                f"The signature in '{folder}' has column '{column['name']}' of type "
                f"{column.get('type')}, which no model here takes.",
                remedy=f"Log the model with columns of {', '.join(_DTYPES)}.",
            )
    return tuple(
        ModelFeature(name=column["name"], dtype=_DTYPES[column["type"]]) for column in columns
    )


def _example(folder: Path, described: Mapping[str, Any]) -> dict[str, list[Any]]:
    info = described.get("saved_input_example_info") or {}
    file = folder / Path(str(info.get("artifact_path", ""))).name
    if info.get("type") != "dataframe" or not file.is_file():
        return {}
    saved = json.loads(file.read_text(encoding="utf-8"))
    if not {"columns", "data"} <= saved.keys():
        return {}
    rows = saved["data"]
    return {str(name): [row[i] for row in rows] for i, name in enumerate(saved["columns"])}
