"""This module says what the columns of served decisions are: names, types, where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.errors import DamagedArtifactError, UnknownNameError
from headrace.schemas import Column, DType
from operators._decision_table import feature_name, outcome_columns
from serving._endpoint_documents import LookedUp
from serving.outcome_kinds import OutcomeKind

NOTES: tuple[tuple[str, DType], ...] = (
    ("model", "string"),
    ("assigned", "string"),
    ("propensity", "float"),
    ("arms", "int"),
    ("propensities", "string"),
    ("score", "float"),
    ("generation", "int"),
    ("experiment", "string"),
    ("fallback", "string"),
    ("unit", "string"),
    ("client", "string"),
    ("batch", "string"),
    ("rank", "int"),
    ("overridden", "string"),
    ("missing", "string"),
)
"""What is noted of a decision beside its features, each with its type; all may be null."""


def outcome_schema(kind: OutcomeKind, *, whole: bool) -> tuple[Column, ...]:
    """Return the columns of one outcome.

    Args:
        kind: What is declared of it.
        whole: Whether its values are whole numbers.
    """
    names = outcome_columns(kind.name)
    times = (names.told_at, names.valued_at, names.known_at)
    return (
        Column(
            name=names.value,
            dtype="int" if whole else "float",
            nullable=True,
            known_at=names.known_at,
            description=kind.description,
        ),
        *(Column(name=name, dtype="timestamp", nullable=True) for name in times),
    )


@dataclass(frozen=True, kw_only=True)
class KnownFeature:
    """This is what is known of a feature in the log.

    Args:
        dtype: Its type; None where only its values tell.
        source: The view it comes from; None for a value of the request.
        taken: Whether a model takes it, and not only what another feature is computed from.
    """

    dtype: DType | None = None
    source: str | None = None
    taken: bool = True


@dataclass(frozen=True, kw_only=True)
class KnownFeatures:
    """These are the features that something is known of, in the order of the models.

    Args:
        by_name: By their names in the log.
        other: What holds for any other.
    """

    by_name: Mapping[str, KnownFeature]
    other: KnownFeature

    def of(self, name: str) -> KnownFeature:
        """Return what is known of a feature."""
        return self.by_name.get(name, self.other)


def known_features(models: Iterable[str], looked_up: LookedUp) -> KnownFeatures:
    """Return what is known of features.

    Args:
        models: The models that were asked, the most important first.
        looked_up: What the endpoint looks up.
    """
    cards = _of_cards(models)
    # without any card nothing says that a feature is there only to compute another
    lookups = _of_lookups(looked_up, taken=not cards)
    rest = {name: feature for name, feature in lookups.items() if name not in cards}
    return KnownFeatures(by_name=cards | rest, other=KnownFeature(taken=not cards))


def feature_column(name: str, feature: KnownFeature, dtype: DType, taken: set[str]) -> Column:
    """Return the column of a feature.

    Args:
        name: Its name in the log.
        feature: What is known of it.
        dtype: Its type.
        taken: Names of other columns; a feature of such a name is called "feature.name".
    """
    return Column(
        name=feature_name(name, taken),
        dtype=dtype,
        nullable=True,
        role="feature" if feature.taken else None,
        source=feature.source if feature.taken else None,
        known_at="decided_at",
    )


def _of_cards(models: Iterable[str]) -> dict[str, KnownFeature]:
    from serving.bundles import card_of

    found: dict[str, KnownFeature] = {}
    for model in models:
        try:
            features = card_of(model).features
        except (UnknownNameError, DamagedArtifactError):  # its bundle is gone: others may know
            continue
        for each in features:
            found.setdefault(each.name, KnownFeature(dtype=_plain(each.dtype), source=each.source))
    return found


def _of_lookups(looked_up: LookedUp, *, taken: bool) -> dict[str, KnownFeature]:
    from features._versions import latest_number

    found: dict[str, KnownFeature] = {}
    for lookup in looked_up.lookups:
        view, number = lookup["view"], lookup.get("number", 0)
        newest = latest_number(view) in (None, number)
        source = view if newest else f"{view}@v{number}"
        for name, dtype in zip(lookup["features"], lookup["dtypes"], strict=True):
            feature = KnownFeature(dtype=_plain(dtype), source=source, taken=taken)
            found.setdefault(name, feature)
            found[f"{view}__{name}"] = feature
    return found


def _plain(dtype: str) -> DType | None:
    if dtype in ("string", "category"):
        return "string"
    plain: dict[str, DType] = {"int": "int", "bool": "bool", "float": "float"}
    return plain.get(dtype)  # of a time only its values tell how it was logged
