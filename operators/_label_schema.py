"""This module says which tables can be labelled by an outcome, and what their labels hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import Column, Role, TableSchema

NUMERIC = frozenset({"bool", "int", "float"})
_KEPT_ROLES = {"entity", "decision_time", "group", "weight"}


def findings(schema: TableSchema, outcome: str, reason_column: str | None) -> Iterator[Finding]:
    """Yield what is wrong with labelling rows of a schema by an outcome that they carry."""
    for name, what in ((outcome, "outcome"), (reason_column, "reason")):
        if name is not None and name not in schema:
            yield unknown_column(schema, name, what, where="table")
            return
    missing = list(_missing_roles(schema))
    if missing:
        yield from missing
        return
    yield from unfit_outcome(schema, outcome, where="table")
    known = known_column(schema, outcome)
    if known == schema.the("decision_time").name:
        yield Finding(
            problem=f"The outcome '{outcome}' is known at the decision ('{known}') already.",
            remedy="Name what comes after the decision, and when it is known.",
            rule="leak",
            input="table",
        )
    yield from _taken(schema)
    yield from _leaks(schema, outcome)


def decision_findings(schema: TableSchema, reason_column: str | None) -> Iterator[Finding]:
    """Yield what is wrong with labelling rows of a schema by what is observed elsewhere."""
    if reason_column is not None and reason_column not in schema:
        yield unknown_column(schema, reason_column, "reason", where="table")
        return
    missing = list(_missing_roles(schema))
    if missing:
        yield from missing
        return
    yield from _taken(schema)
    yield from _leaks(schema, None)


def unknown_column(schema: TableSchema, name: str, what: str, *, where: str) -> Finding:
    """Return the finding for a column that is not there, such as the one of the "outcome"."""
    return Finding(
        problem=f"Schema '{schema.name}' has no column '{name}' for the {what}."
        f"{did_you_mean(name, schema.names)}",
        remedy=f"Name a column of the {where}.",
        rule="unknown column",
        input=where,
    )


def unfit_outcome(schema: TableSchema, outcome: str, *, where: str) -> Iterator[Finding]:
    """Yield why a column cannot be an outcome: it has no order, or no known time."""
    column = schema.column(outcome)
    if column.dtype not in NUMERIC:
        yield Finding(
            problem=f"The outcome '{outcome}' is {column.dtype}, which has no order.",
            remedy="Name a numeric column.",
            rule="wrong type",
            input=where,
        )
    known = known_column(schema, outcome)
    if known is None or schema.column(known).dtype != "timestamp":
        yield Finding(
            problem=f"Schema '{schema.name}' does not say when '{outcome}' is known.",
            remedy=f'Declare it: `{outcome}: Annotated[float | None, Col(known_at="...")]`, '
            "naming a time.",
            rule="missing role",
            input=where,
        )


def _missing_roles(schema: TableSchema) -> Iterator[Finding]:
    roles: tuple[Role, ...] = ("decision_time", "entity")
    for role in roles:
        found = schema.with_role(role)
        if len(found) != 1:
            yield Finding(
                problem=f"Schema '{schema.name}' has {len(found)} columns with role '{role}'; "
                "labels need exactly one.",
                remedy=f'Give one column `Col(role="{role}")`.',
                rule="missing role",
                input="table",
            )
            return


def _taken(schema: TableSchema) -> Iterator[Finding]:
    taken = [n for n in ("label", "label_known_at") if n in schema]
    if taken:
        yield Finding(
            problem=f"Schema '{schema.name}' has a column '{taken[0]}' already.",
            remedy="Rename it; labels add the columns 'label_known_at' and 'label'.",
            rule="column exists",
            input="table",
        )


def _leaks(schema: TableSchema, outcome: str | None) -> Iterator[Finding]:
    decided = schema.the("decision_time").name
    for feature in schema.with_role("feature"):
        if feature.name == outcome:
            yield Finding(
                problem=f"'{outcome}' is the outcome and a feature at once.",
                remedy=f"Take the role 'feature' from '{outcome}'.",
                rule="leak",
                input="table",
            )
        elif feature.known_at != decided:
            yield Finding(
                problem=f"Feature '{feature.name}' "
                + (
                    f"is known at '{feature.known_at}', not at the decision ('{decided}')."
                    if feature.known_at
                    else "does not say when it is known."
                ),
                remedy=f"Take the role 'feature' from it, or, if it is known by then, declare "
                f'`known_at="{decided}"`.',
                rule="leak",
                input="table",
            )


def known_column(schema: TableSchema, outcome: str) -> str | None:
    """Return the column that holds when the outcome is known; None when none says so."""
    declared = schema.column(outcome).known_at
    if declared is not None:
        return declared
    roles = schema.with_role("known_time")
    return roles[0].name if len(roles) == 1 else None


def labels_schema(
    schema: TableSchema,
    outcome: str,
    above: float | None,
    *,
    observed: Column | None = None,
) -> TableSchema:
    """Return what labels hold: what is known at the decision, the label and its known time.

    Args:
        schema: The schema of the decisions.
        outcome: Column of the outcome.
        above: Limit above which it is labelled 1; None where the label is its value.
        observed: The outcome's column where observations carry it; None where decisions do.
    """
    decided = schema.the("decision_time").name
    kept = [
        # the decision is the event of a label, so other times keep their values, not their role
        replace(c, role=None) if c.role == "event_time" else c
        for c in schema.columns
        if (observed is not None or c.name != outcome)
        and (c.role in _KEPT_ROLES or c.known_at == decided)
    ]
    unit = (observed or schema.column(outcome)).unit
    label = Column(
        name="label",
        dtype="float" if above is None else "int",
        role="label",
        unit=unit if above is None else None,
        known_at="label_known_at",
        description=outcome if above is None else f"1 where {outcome} is above {above:g}",
    )
    known = Column(name="label_known_at", dtype="timestamp", role="known_time")
    return TableSchema(name=f"{schema.name} labelled", columns=(*kept, known, label))
