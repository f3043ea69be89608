"""This module says what becomes of a table's columns when labels join it, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headrace.calls import Finding
from headrace.labels.schema import LabelSchema
from headrace.schemas import Column, DType, Role, TableSchema

# what an item was asked for and what was suggested: it tells of the asking, not of the item
OF_THE_ASKING = ("slice", "priority", "suggested", "suggested_by", "confidence")
ADDED = ("label_known_at", "label", "probability", "slice", "source")


def findings(schema: TableSchema, labels: LabelSchema) -> Iterator[Finding]:
    """Yield why labels of a schema cannot join a table."""
    if labels.kind not in ("single", "multi", "number"):
        yield _finding(
            f"Labels of the kind '{labels.kind}' are no classes and no number, which is what a "
            "model is fitted on.",
            "Derive choices or a number from them, and label with that.",
            "label kind",
        )
    roles: tuple[tuple[Role, int], ...] = (("entity", 1), ("decision_time", 0))
    for role, least in roles:
        found = schema.with_role(role)
        if not least <= len(found) <= 1:
            yield _finding(
                f"Schema '{schema.name}' has {len(found) or 'no'} column"
                f"{'s' if len(found) > 1 else ''} with role '{role}'; "
                + ("labels join on exactly one." if least else "there can be one at most."),
                f'Give one column `Col(role="{role}")`.',
                "missing role",
            )
    own = [c.name for c in schema.with_role("label")]
    if own:
        yield _finding(
            f"Schema '{schema.name}' has a label already: '{own[0]}'.",
            f"Take the role 'label' from '{own[0]}', or leave the column out of the table.",
            "label",
        )
    kept = {c.name for c in kept_columns(schema)}
    for column in added_columns(schema, labels):
        if column.name in kept and column.name not in own:
            yield _finding(
                f"Schema '{schema.name}' has a column '{column.name}' already.",
                "Rename it; labels bring a column of that name.",
                "column exists",
            )
    yield from _untimed(schema)


def joined_schema(schema: TableSchema, labels: LabelSchema) -> TableSchema:
    """Return what examples hold: the table's columns, then what the label says."""
    return TableSchema(
        name=f"{schema.name} with labels",
        columns=(*kept_columns(schema), *added_columns(schema, labels)),
    )


def holds_sets(schema: TableSchema) -> bool:
    """Return whether labels of several choices joined a table: they are text, others are not."""
    labels = schema.with_role("label")
    return [c.dtype for c in labels] == ["string"] and set(ADDED) <= set(schema.names)


def kept_columns(schema: TableSchema) -> tuple[Column, ...]:
    """Return the table's columns that examples keep; its own known time is none of the label."""
    return tuple(
        replace(c, role=None) if c.role == "known_time" else c
        for c in schema.columns
        if c.name not in OF_THE_ASKING or c.role is not None
    )


def added_columns(schema: TableSchema, labels: LabelSchema) -> tuple[Column, ...]:
    """Return the columns that labels bring."""
    dtypes: dict[str, DType] = {"number": "float", "multi": "string"}
    label = Column(
        name="label",
        dtype=dtypes.get(labels.kind, "category"),
        categories=labels.choices if labels.kind == "single" else None,
        role="label",
        unit=labels.unit or None,
        known_at="label_known_at",
    )
    times: tuple[Column, ...] = (
        Column(name="label_known_at", dtype="timestamp", role="known_time"),
    )
    if not schema.with_role("decision_time"):
        as_of = "when what the label was given for held"
        decided = Column(name="as_of", dtype="timestamp", role="decision_time", description=as_of)
        times = (decided, *times)
    said = (
        Column(name="probability", dtype="float", description="how sure the label is, 0 to 1"),
        Column(name="slice", dtype="string", description="random, chosen, audit or gold"),
        Column(name="source", dtype="string", description="gold, adjudicator, person, rule, model"),
    )
    return (*times, label, *said)


def _untimed(schema: TableSchema) -> Iterator[Finding]:
    """Yield the features of which nobody knows whether they were known at the decision."""
    decided = schema.with_role("decision_time")
    if len(decided) != 1:
        return
    for feature in schema.with_role("feature"):
        if feature.known_at != decided[0].name:
            yield _finding(
                f"Feature '{feature.name}' "
                + (
                    f"is known at '{feature.known_at}', not at the decision ('{decided[0].name}')."
                    if feature.known_at
                    else "does not say when it is known."
                ),
                f"Take the role 'feature' from it, or, if it is known by then, declare "
                f'`known_at="{decided[0].name}"`.',
                "leak",
            )


def _finding(problem: str, remedy: str, rule: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input="table")
