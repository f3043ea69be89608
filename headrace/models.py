"""This module holds a model's card: everything there is to say about a model in one document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Task = Literal["classification", "tagging", "estimation"]
ELSEWHERE = "elsewhere"


@dataclass(frozen=True, kw_only=True)
class ModelFeature:
    """This is one input of a model.

    Args:
        name: Column name.
        dtype: "float", "int", "bool" or "category".
        categories: The values known from training, in code order; unknown ones are nulls.
        source: The feature view it comes from, None for a value of the request.
    """

    name: str
    dtype: str
    categories: tuple[str, ...] | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """This is what a model is; it is part of the digest, so it holds nothing that varies.

    Args:
        task: What it predicts: one of several classes, any number of them ("tagging"), or a value.
        flavor: Which library's format the files are in: "xgboost", "sklearn" or "torch".
        features: Inputs in the order of the matrix.
        label: Name of the label column.
        classes: Class names for a classification, the positive class last when there are two.
        parameters: The settings it was fitted with.
        metrics: Metrics on the validation set, by name.
        curves: Points of the validation curves for plots: roc, precision_recall, calibration.
        importance: Feature name to share of the total importance.
        slices: Validation metrics per slice: [{column, value, rows, metrics}].
        trained_on: Digest, rows and times of the training set; of a model that was trained
            elsewhere what is known instead: where it came from, and its file's checksum.
        validated_on: Digest, rows and times of the validation set.
        packages: Library versions the files need to be read.
        example: A few rows of features, as {column: values}.
        extra: What else the flavor needs to score, such as scaling constants.
    """

    task: Task
    flavor: str
    features: tuple[ModelFeature, ...]
    label: str
    classes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    slices: tuple[Mapping[str, Any], ...] = ()
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    validated_on: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of the matrix."""
        return tuple(f.name for f in self.features)

    @property
    def elsewhere(self) -> bool:
        """Whether it was trained elsewhere, on rows that nobody here knows."""
        return self.trained_on.get("trained") == ELSEWHERE

    def with_validation(self, **changes: Any) -> ModelCard:
        """Return the card with metrics, curves, slices and the like filled in."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the card as JSON-like data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """Rebuild a card from `to_json`."""
        features = tuple(
            ModelFeature(
                **{
                    **entry,
                    "categories": None
                    if entry.get("categories") is None
                    else tuple(entry["categories"]),
                }
            )
            for entry in data["features"]
        )
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(
            **{
                **known,
                "features": features,
                "classes": tuple(data.get("classes", ())),
                "slices": tuple(data.get("slices", ())),
            }
        )
