"""This module holds what is said of a model that was trained elsewhere to what the model knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.errors import DataError, ParameterError, SchemaError
from headrace.models import ModelFeature, Task
from headrace.schemas import Column, DType, TableSchema
from operators._encoding import TEXT_DTYPES
from operators._import_source import Source
from operators._score_rules import sort_of

BINARY = ("0", "1")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """This is what is said of a model before it is opened.

    Args:
        source: Where it lies.
        task: What it predicts.
        label: Name of the label.
        features: Its inputs.
        classes: Names of the two classes, the positive one last; empty for an estimation.
        example: Rows of features, by column.
    """

    source: Source
    task: Task
    label: str
    features: tuple[ModelFeature, ...]
    classes: tuple[str, ...]
    example: Mapping[str, Any] = field(default_factory=dict)

    def schema(self) -> TableSchema:
        """Return the columns that a set needs to meet the model: its features and its label."""
        columns = [
            Column(name=f.name, dtype=_column_dtype(f), nullable=True, role="feature")
            for f in self.features
        ]
        return TableSchema(name="Imported", columns=(*columns, self._label()))

    def _label(self) -> Column:
        if self.task == "estimation":
            return Column(name=self.label, dtype="float", role="label")
        if self.classes == BINARY:
            return Column(name=self.label, dtype="int", role="label")
        if self.classes == ("false", "true"):
            return Column(name=self.label, dtype="bool", role="label")
        return Column(name=self.label, dtype="category", role="label", categories=self.classes)


def agreed_features(
    source: Source, given: Sequence[ModelFeature] | None
) -> tuple[ModelFeature, ...]:
    """Return the features that the parameters and an `MLmodel` name, in the model's order.

    Args:
        source: The model.
        given: What the parameters name, None where they name nothing.

    Raises:
        ParameterError: Nobody names them, or a name, type or its categories cannot be.
        SchemaError: The parameters name other features than the `MLmodel`.
    """
    if given is None and source.features is None:
        raise ParameterError(
            f"What '{source.name}' takes is written nowhere: it has no signature with names and "
            "types.",
            remedy="Give `features=[ModelFeature(name='distance', dtype='float'), …]`, or a folder "
            "that MLflow wrote with a signature.",
        )
    if given is None or source.features is None:
        features = tuple(given or source.features or ())
        _require_types(source, features)
        return features
    require_same_names(
        source.name,
        [f.name for f in source.features],
        [f.name for f in given],
        who="`MLmodel`",
        other="`features`",
    )
    said = {f.name: f for f in given}
    for written in source.features:
        if sort_of(said[written.name].dtype) != sort_of(written.dtype):
            raise SchemaError(
                f"Feature '{written.name}' is {said[written.name].dtype} in `features`, but "
                f"{written.dtype} in the signature of '{source.name}'.",
                remedy="Leave `features` out, or give the types that the model was fitted on.",
            )
    features = tuple(said[written.name] for written in source.features)
    _require_types(source, features)
    return features


def _require_types(source: Source, features: Sequence[ModelFeature]) -> None:
    for feature in features:
        if feature.dtype not in ("float", "int", "bool", "category"):
            raise ParameterError(
                f"Feature '{feature.name}' is of type '{feature.dtype}', which no model takes.",
                remedy="Use 'float', 'int', 'bool' or 'category'.",
            )
    names = [f.name for f in features]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or not names:
        what = f"feature '{twice[0]}' twice" if twice else "no feature"
        raise ParameterError(
            f"The signature of '{source.name}' has {what}.",
            remedy="Name every feature of the model once, in its order.",
        )
    open_ = [f.name for f in features if f.dtype == "category" and f.categories is None]
    if open_ and source.format == "sklearn":
        raise ParameterError(
            f"The categories of feature '{open_[0]}' of '{source.name}' are not known.",
            remedy=f"Give them: ModelFeature(name='{open_[0]}', dtype='category', "
            "categories=('…', '…')).",
        )


def in_order(
    source: Source, features: Sequence[ModelFeature], known: Sequence[str] | None, count: int
) -> tuple[ModelFeature, ...]:
    """Return the features in the order of the model's own, once both have the same.

    Args:
        source: The model.
        features: What is said of it.
        known: The names that the model itself knows, None when it knows none.
        count: How many features it takes.

    Raises:
        SchemaError: Names or numbers differ; the message names both.
    """
    if known is not None:
        require_same_names(source.name, known, [f.name for f in features])
        by_name = {f.name: f for f in features}
        return tuple(by_name[name] for name in known)
    if count != len(features):
        raise SchemaError(
            f"The model in '{source.name}' takes {count} features, but its signature names "
            f"{len(features)}: {listed([f.name for f in features])}.",
            remedy="Give the features that it was fitted on, in their order.",
        )
    return tuple(features)


def require_same_names(
    name: str,
    known: Sequence[str],
    said: Sequence[str],
    *,
    who: str = "model",
    other: str = "its signature",
) -> None:
    """Refuse a signature that names other features than the model does.

    Raises:
        SchemaError: Naming those that only one of the two has.
    """
    only_known = [n for n in known if n not in said]
    only_said = [n for n in said if n not in known]
    if only_known or only_said:
        differ = [f"only the {who} has {listed(only_known)}"] if only_known else []
        differ += [f"only {other} has {listed(only_said)}"] if only_said else []
        raise SchemaError(
            f"The {who} of '{name}' knows {len(known)} features and {other} names {len(said)}: "
            f"{'; '.join(differ)}.",
            remedy="Give the features that it was fitted on, by their names.",
        )


def with_categories(
    source: Source, features: Sequence[ModelFeature], stored: Mapping[str, tuple[str, ...] | None]
) -> tuple[ModelFeature, ...]:
    """Return the features with the categories that a model's file holds.

    Args:
        source: The model.
        features: What is said of them.
        stored: For each category feature of the model, its values in code order or None.

    Raises:
        SchemaError: A feature is a category for one of the two only, or their values differ.
        DataError: The values are known to nobody.
    """
    found = []
    for feature in features:
        is_text = feature.dtype in TEXT_DTYPES
        if is_text != (feature.name in stored):
            knows, says = ("a number", "category") if is_text else ("a category", feature.dtype)
            raise SchemaError(
                f"Feature '{feature.name}' is {knows} to the model in '{source.name}', but its "
                f"signature says {says}.",
                remedy="Give the type that the model was fitted on.",
            )
        found.append(_categorized(source, feature, stored.get(feature.name)))
    return tuple(found)


def _categorized(
    source: Source, feature: ModelFeature, stored: tuple[str, ...] | None
) -> ModelFeature:
    if feature.dtype not in TEXT_DTYPES:
        return feature
    if stored is None and feature.categories is None:
        raise DataError(
            f"The categories of feature '{feature.name}' are written neither in '{source.name}' "
            "nor in its signature, so nobody knows which value has which code.",
            remedy="Give them in code order: ModelFeature(name=…, dtype='category', "
            "categories=('…', '…')).",
        )
    if stored is not None and feature.categories not in (None, stored):
        raise SchemaError(
            f"The categories of feature '{feature.name}' are {listed(stored)} in "
            f"'{source.name}', but {listed(feature.categories or ())} in its signature.",
            remedy="Leave them out: the model knows its own.",
        )
    return replace(feature, categories=stored or feature.categories)


def _column_dtype(feature: ModelFeature) -> DType:
    dtypes: dict[str, DType] = {"float": "float", "int": "int", "bool": "bool"}
    return dtypes.get(feature.dtype, "category")


def listed(names: Sequence[str]) -> str:
    """Return names in quotes, with commas."""
    return ", ".join(f"'{name}'" for name in names)
