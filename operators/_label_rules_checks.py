"""This module says what is wrong with labeling rules before any row is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.calls import Finding
from headrace.errors import DataError, did_you_mean
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._labeling_rule import LabelingRule


def rule_findings(
    table: TableSchema, rules: Sequence[LabelingRule], schema: LabelSchema
) -> Iterator[Finding]:
    """Yield what is wrong with rules before any row is looked at."""
    if not rules:
        yield _finding("There are no rules.", "Give at least one.", "rules")
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _finding(
            f"Two rules are called '{name}', so nobody could tell their votes apart.",
            "Give every rule a name of its own.",
            "rules",
        )
    seen = visible(table)
    for rule in rules:
        for column in rule.columns or ():
            if column not in seen:
                hidden = column in table
                problem = f"Rule '{rule.name}' is to see '{column}', " + (
                    "which is the label."
                    if hidden
                    else f"which is no column of schema '{table.name}'.{did_you_mean(column, seen)}"
                )
                yield _finding(problem, "Name columns of the table, but the label.", "columns")
        for choice in rule.choices or ():
            try:
                schema.read(choice)
            except DataError:
                near = did_you_mean(choice, schema.choices) if schema.kind == "single" else ""
                problem = (
                    f"Rule '{rule.name}' may answer '{choice}', which is no answer of the schema."
                    f"{near}"
                )
                yield _finding(problem, "Take choices from the schema.", "choices")


def visible(table: TableSchema) -> tuple[str, ...]:
    """Return the columns that rules may see: a rule that sees the label has nothing to tell."""
    return tuple(c.name for c in table.columns if c.role != "label")


def _finding(problem: str, remedy: str, rule: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input="table")
