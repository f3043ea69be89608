"""This module brings in models that were trained elsewhere, with their signature."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import Field

from headrace import Model, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import HeadraceError
from headrace.grants import require
from headrace.models import ELSEWHERE, ModelCard, ModelFeature
from headrace.schemas import TableSchema
from operators._import_declared import declared
from operators._import_headrace import open_headrace
from operators._import_opened import Opened, made_up, prove
from operators._import_signature import Declared
from operators._import_sklearn import open_sklearn
from operators._import_source import model_at_path
from operators._import_xgboost import open_xgboost
from operators._ingest_files import checksum_of, file_name

_OPENERS = {"xgboost": open_xgboost, "sklearn": open_sklearn, "headrace": open_headrace}
_PACKAGES = {"xgboost": ("xgboost",), "sklearn": ("scikit-learn", "skops"), "torch": ()}


def _check(call: PlannedCall) -> list[Finding]:
    try:
        declared(call.parameters)
    except HeadraceError as error:
        return [Finding(problem=error.problem, remedy=error.remedy, rule="imported model")]
    return []


def _produces(call: PlannedCall) -> Mapping[str, TableSchema | None]:
    try:
        return {"result": declared(call.parameters).schema()}
    except HeadraceError:
        return {"result": None}  # the check says why


@operator(reads=model_at_path, check=_check, produces=_produces)
def import_model(
    *,
    path: str,
    label: str,
    task: Literal["classification", "estimation"] = "classification",
    features: tuple[ModelFeature, ...] | None = None,
    classes: tuple[str, str] | None = None,
    prior: Annotated[float, Field(allow_inf_nan=False)] | None = None,
    example: dict[str, list[Any]] | None = None,
) -> Model:
    """Bring in a model that was trained elsewhere, once it is proved that it is scored right.

        ModelFeature(name="carrier", dtype="category", source="carrier_history")

    What it was trained on is not known, so nobody can say that it did not see the rows that it is
    measured on: its card is marked so, and the mark is shown wherever the model is.

    Args:
        path: A file of xgboost (.ubj, .json) or skops (.skops), or a folder: of MLflow, with an
            xgboost model, an estimator stored by skops, or a model that Headrace logged; or of
            the files of a model of Headrace. A pickle is refused, whoever made it.
        label: Name of the label column that it predicts.
        task: What it predicts: the probability of the positive class, or a value.
        features: Its inputs, by name where the model knows names, else in its order; with the
            feature view that each comes from, None for values of the request. None takes the
            signature of the `MLmodel`, where each is a value of the request.
        classes: Names of the two classes, the positive one last; None means "0" and "1".
        prior: Share of the positive class, or mean of the label, among the rows that it was
            trained on: the answer without features that it is compared with. None compares it
            with the best such answer on the rows that it is measured on.
        example: Rows of features by column, null where not known; None takes those that MLflow
            saved, or makes some up.

    Returns:
        The model, its card marked as trained elsewhere, without metrics.

    Raises:
        DataError: Nothing is there, or no model that can be read without running code, or one
            that our runtime would answer for otherwise than its own library.
        ParameterError: The signature is missing or does not fit the task or itself.
        SchemaError: The signature is not the model's.
    """
    require(file_name(path))
    said = declared(
        {
            "path": path,
            "label": label,
            "task": task,
            "features": features,
            "classes": classes,
            "example": example,
        }
    )
    opened = _OPENERS[said.source.format](said)
    card = _card(said, opened, prior)
    prove(opened, card, said.source.name)
    return Model.of(opened.files, card=card)


def _card(said: Declared, opened: Opened, prior: float | None) -> ModelCard:
    source = said.source
    own = (
        source.file
        if source.format != "headrace"
        else source.file.with_name(next(iter(opened.files)))
    )
    extra = dict(opened.extra) | ({} if prior is None else {"prior": prior})
    return ModelCard(
        task=said.task,
        flavor=opened.flavor,
        features=opened.features,
        label=said.label,
        classes=opened.classes,
        parameters={"estimator": f"imported {opened.kind}"},
        trained_on={
            "trained": ELSEWHERE,
            "source": file_name(source.name),
            "sha256": checksum_of(own),
            "written_by": {k: v for k, v in source.versions.items() if v},
        },
        packages={name: version(name) for name in (*_PACKAGES[opened.flavor], "numpy")},
        example=dict(said.example) or made_up(opened.features),
        extra=extra,
    )
