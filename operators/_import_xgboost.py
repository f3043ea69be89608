"""This module opens boosters that were trained elsewhere, and asks what they know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import DataError, SchemaError
from operators._encoding import Vector
from operators._import_opened import Opened
from operators._import_signature import Declared, in_order, with_categories

if TYPE_CHECKING:
    import pandas as pd
    import xgboost

# Objectives whose answer is a probability, or an estimate, as it stands.
_ANSWERS = {
    "classification": ("binary:logistic", "reg:logistic"),
    "estimation": (
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:gamma",
        "reg:tweedie",
        "count:poisson",
    ),
}


def open_xgboost(declared: Declared) -> Opened:
    """Return a booster, held to what is said of it.

    A model that scikit-learn's interface stopped early answers with its best trees only, as
    `XGBClassifier.predict_proba` does; a plain booster answers with all of them, as
    `Booster.predict` does.

    Raises:
        DataError: The file is no booster, or one whose answers have no meaning here.
        SchemaError: Task, features or categories are not those of the booster.
    """
    import xgboost

    name, content = declared.source.name, declared.source.file.read_bytes()
    booster = _loaded(content, name)
    kind = _require_answers(booster, declared)
    features = in_order(
        declared.source, declared.features, booster.feature_names, booster.num_features()
    )
    features = with_categories(declared.source, features, _categories(booster, features))

    def own(rows: pd.DataFrame) -> Vector:
        whole = _loaded(content, name)
        asked = rows.set_axis(list(booster.feature_names or rows.columns), axis="columns")
        data = xgboost.DMatrix(
            asked, feature_types=booster.feature_types, enable_categorical=True, nthread=1
        )
        kept = (0, _trees(whole))
        return np.asarray(whole.predict(data, iteration_range=kept), dtype=np.float64)

    return Opened(
        flavor="xgboost",
        files={"model.ubj": bytes(booster[: _trees(booster)].save_raw("ubj"))},
        features=features,
        classes=declared.classes,
        kind=kind,
        own=own,
        extra={"trees": _trees(booster)},
    )


def _loaded(content: bytes, name: str) -> xgboost.Booster:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError as error:
        raise DataError(
            f"'{name}' is not a model of xgboost: {str(error).splitlines()[-1].strip()}",
            remedy="Save it with xgboost's `save_model('model.ubj')`.",
        ) from error
    return booster


def _require_answers(booster: xgboost.Booster, declared: Declared) -> str:
    learner: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, boosted = learner["objective"]["name"], learner["gradient_booster"]["name"]
    name, task = declared.source.name, declared.task
    if objective not in _ANSWERS[task]:
        other = next((t for t, known in _ANSWERS.items() if objective in known), None)
        if other is not None:
            raise SchemaError(
                f"The model in '{name}' has the objective '{objective}', which is {other}, but the "
                f"task is '{task}'.",
                remedy=f"Set task='{other}'.",
            )
        raise DataError(
            f"The model in '{name}' has the objective '{objective}', whose answers are neither "
            "probabilities of two classes nor estimates.",
            remedy=f"Train it with one of {', '.join(sum(_ANSWERS.values(), ()))}.",
        )
    if boosted not in ("gbtree", "dart"):
        raise DataError(
            f"The model in '{name}' is of the booster '{boosted}', which cannot be asked row by "
            "row.",
            remedy="Train it with the booster 'gbtree' or 'dart'.",
        )
    return f"{boosted} {objective}"


def _categories(
    booster: xgboost.Booster, features: tuple[Any, ...]
) -> dict[str, tuple[str, ...] | None]:
    """Return the category features that a booster knows, with their values where it keeps them."""
    types = booster.feature_types
    if types is None:  # trained on bare numbers: the signature alone knows
        return {f.name: f.categories for f in features if f.dtype == "category"}
    stored = dict(booster.get_categories(export_to_arrow=True).to_arrow())
    names = booster.feature_names or list(stored)
    found: dict[str, tuple[str, ...] | None] = {}
    for feature, kind, known in zip(features, types, names, strict=True):
        if kind != "c":
            continue
        values = stored.get(known)
        texts = None if values is None else values.to_pylist()
        if texts is not None and not all(isinstance(text, str) for text in texts):
            raise DataError(
                f"The categories of feature '{feature.name}' are numbers to the model, such as "
                f"{texts[0]!r}.",
                remedy="Train it with categories of text.",
            )
        found[feature.name] = None if texts is None else tuple(texts)
    return found


def _trees(booster: xgboost.Booster) -> int:
    """Return how many rounds answer."""
    best = booster.attr("best_iteration")
    if best is None or booster.attr("scikit_learn") is None:
        return int(booster.num_boosted_rounds())
    return int(best) + 1
