"""This module says why no examples can be made of a table of decisions, from its schema alone."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import TableSchema
from operators._decision_table import (
    ARMS,
    AS_OF,
    DECIDED,
    FALLBACK,
    OVERRIDDEN,
    PROPENSITY,
    Wanted,
    examples_columns,
    is_outcome,
    outcome_columns,
)

_NEEDED = ("id", DECIDED, AS_OF, OVERRIDDEN, FALLBACK)


def findings(schema: TableSchema, wanted: Wanted) -> Iterator[Finding]:
    """Yield why no examples can be made of a table."""
    of = outcome_columns(wanted.outcome)
    needed = [*_NEEDED, *((PROPENSITY, ARMS) if wanted.weighted else ())]
    for name in needed:
        if name not in schema:
            yield _finding(
                f"Schema '{schema.name}' has no column '{name}'; it is no table of decisions.",
                "Give what `served_decisions` made.",
                "decisions",
            )
            return
    if not {of.value, of.told_at, of.valued_at, of.known_at} <= set(schema.names):
        there = [c.name.partition(":")[2] for c in schema.columns if is_outcome(c.name)]
        called = f"'{wanted.outcome}'" if wanted.outcome else "without a name"
        named = [each for each in there if each]
        hint = did_you_mean(wanted.outcome, named) if named else ""
        yield _finding(
            f"The decisions have no outcome {called}.{hint}",
            "Name an outcome that the endpoint takes.",
            "outcome",
        )
        return
    whole = schema.column(of.value).dtype == "int" and wanted.above is None
    if whole and wanted.fill is not None and wanted.fill != int(wanted.fill):
        yield _finding(
            f"The outcome is a whole number, and {wanted.fill:g} is to count where nothing was "
            "told.",
            "Give a whole number.",
            "policy",
        )
    if wanted.unit is not None and wanted.unit not in schema:
        yield _finding(
            f"The decisions have no column '{wanted.unit}' for the unit."
            f"{did_you_mean(wanted.unit, schema.names)}",
            'Name a column of the decisions, such as "unit" or "entity.tail".',
            "unit",
        )
        return
    yield from _clashes(schema, wanted)


def _clashes(schema: TableSchema, wanted: Wanted) -> Iterator[Finding]:
    names = [column.name for column, _ in examples_columns(schema, wanted)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _finding(
            f"The examples would have two columns '{name}', of which one is a feature.",
            "Give the feature another name where its view is made.",
            "column exists",
        )


def _finding(problem: str, remedy: str, rule: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input="decisions")
