"""This module says before the run what routing needs of a table, and what it will hold."""

from __future__ import annotations

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import Column, TableSchema

ADDED = (
    Column(name="route", dtype="string", description="rule, model, person or later"),
    Column(name="routed_to", dtype="string", nullable=True, description="which rule or model"),
    Column(name="proposed", dtype="string", nullable=True, description="the best machine label"),
    Column(name="expected_error", dtype="float", nullable=True, description="of the label"),
    Column(name="expected_gain", dtype="float", description="error that a person would mend"),
    Column(name="cost", dtype="float", unit="s", description="seconds of people"),
)
_NUMBERS = ("int", "float")


def findings(table: TableSchema, effort: str | None) -> list[Finding]:
    """Return what a table lacks, or has that is to be added."""
    found = []
    if len(table.with_role("entity")) != 1:
        found.append(
            (
                f"Schema '{table.name}' has {len(table.with_role('entity'))} columns with role "
                "'entity'; exactly one says what an item is.",
                'Give one column `Col(role="entity")`.',
                "entity",
            )
        )
    for column in ADDED:
        if column.name in table:
            found.append(
                (
                    f"Schema '{table.name}' has a column '{column.name}' already.",
                    f"Rename it; routing adds {', '.join(c.name for c in ADDED)}.",
                    "column exists",
                )
            )
            break
    if effort is not None and effort not in table:
        found.append(
            (
                f"Schema '{table.name}' has no column '{effort}' for the effort."
                f"{did_you_mean(effort, table.names)}",
                "Name a number of the table.",
                "unknown column",
            )
        )
    elif effort is not None and table.column(effort).dtype not in _NUMBERS:
        found.append(
            (
                f"The effort '{effort}' is {table.column(effort).dtype}, not a number.",
                "Name a number of the table.",
                "wrong type",
            )
        )
    return [Finding(problem=p, remedy=r, rule=rule, input="table") for p, r, rule in found]


def routed_schema(table: TableSchema) -> TableSchema:
    """Return what routed rows hold: the table's columns, and where each goes."""
    return TableSchema(name=f"{table.name} routed", columns=(*table.columns, *ADDED))
