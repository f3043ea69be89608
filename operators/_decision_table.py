"""This module names the columns of a table of served decisions, and the examples made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.schemas import Column, DType, TableSchema

DECIDED, AS_OF, OVERRIDDEN, FALLBACK = "decided_at", "as_of", "overridden", "fallback"
PROPENSITY, ARMS, WEIGHT = "propensity", "arms", "propensity_weight"
KNOWN, LABEL, CENSORED = "label_known_at", "label", "censored"
ENTITY = "entity."
_FEATURE = "feature."


@dataclass(frozen=True, kw_only=True)
class OutcomeColumns:
    """These are the columns of one outcome.

    Args:
        value: Its value as it was known; null where it never will be, or was not told.
        told_at: Since when anything was known of it; null where nothing was told.
        valued_at: Since when any value was known.
        known_at: Since when this value was known, which may be a correction.
    """

    value: str
    told_at: str
    valued_at: str
    known_at: str


def outcome_columns(name: str) -> OutcomeColumns:
    """Return the names of the columns of an outcome, "" for the one without a name."""
    value = f"outcome:{name}" if name else "outcome"
    return OutcomeColumns(
        value=value,
        told_at=f"{value}.told_at",
        valued_at=f"{value}.valued_at",
        known_at=f"{value}.known_at",
    )


def feature_name(name: str, taken: set[str]) -> str:
    """Return what a feature is called beside other columns: "feature.name" where it is taken."""
    return f"{_FEATURE}{name}" if name in taken else name


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """This is what is asked of a table of decisions.

    Args:
        outcome: Name of the outcome.
        above: Limit above which it is labelled 1; None labels with its value.
        fill: What counts where nothing was told within the window; None fills nothing.
        keeps_censored: Whether decisions without a label are kept, with a null.
        weighted: Whether rows are weighted by their chances.
        unit: The column that becomes the group; None for none.
    """

    outcome: str
    above: float | None
    fill: float | None
    keeps_censored: bool
    weighted: bool
    unit: str | None


def is_outcome(name: str) -> bool:
    """Return whether a column holds the values of an outcome."""
    return (name == "outcome" or name.startswith("outcome:")) and "." not in name


def examples_columns(schema: TableSchema, wanted: Wanted) -> list[tuple[Column, str]]:
    """Return the columns of the examples, each with the one it is taken from, "" for new ones."""
    outcome = schema.column(outcome_columns(wanted.outcome).value)
    dtype: DType = "int" if wanted.above is not None else outcome.dtype
    said = outcome.description or wanted.outcome or "outcome"
    above = wanted.above
    label = Column(
        name=LABEL,
        dtype=dtype,
        nullable=wanted.keeps_censored,
        role="label",
        known_at=KNOWN,
        unit=outcome.unit if above is None else None,
        description=said if above is None else f"1 where {said} is above {above:g}",
    )
    kept = [schema.column("id"), schema.column(DECIDED)]
    kept += [c for c in schema.columns if c.name.startswith(ENTITY) and c.name != wanted.unit]
    if wanted.unit is not None:
        kept.append(replace(schema.column(wanted.unit), role="group", known_at=DECIDED))
    made = [Column(name=KNOWN, dtype="timestamp", role="known_time"), label]
    made += [Column(name=CENSORED, dtype="bool")] if wanted.keeps_censored else []
    made += [Column(name=WEIGHT, dtype="float", role="weight")] if wanted.weighted else []
    return [
        *((column, column.name) for column in kept),
        *((column, "") for column in made),
        (replace(schema.column(OVERRIDDEN), known_at=DECIDED), OVERRIDDEN),
        *(
            (replace(feature, name=_plain_name(feature.name, schema)), feature.name)
            for feature in schema.with_role("feature")
        ),
    ]


def _plain_name(name: str, schema: TableSchema) -> str:
    """Return what a feature was called before it met another column of its name."""
    plain = name.removeprefix(_FEATURE)
    return plain if plain in schema else name
