"""This module writes the votes of rules and models: who says what of which row, as of when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.calls import Finding
from headrace.errors import DataError
from headrace.labels.items import Source
from headrace.labels.schema import LabelSchema
from headrace.schemas import Role, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS: tuple[Role, ...] = ("decision_time", "known_time", "event_time")


def entity_findings(schema: TableSchema) -> Iterator[Finding]:
    """Yield what keeps the rows of a table from being told apart."""
    found = schema.with_role("entity")
    if len(found) != 1:
        yield Finding(
            problem=f"Schema '{schema.name}' has {len(found) or 'no'} column"
            f"{'s' if len(found) > 1 else ''} with role 'entity'; votes need exactly one.",
            remedy='Give the column that names a row `Col(role="entity")`.',
            rule="entity",
            input="table",
        )


def entities_of(rows: pa.Table, schema: TableSchema) -> list[str]:
    """Return the name of each row as text.

    Raises:
        DataError: A row has none, or two have the same.
    """
    return list(position_of(rows[schema.the("entity").name].to_pylist(), "table"))


def position_of(entities: Sequence[Any], what: str) -> dict[str, int]:
    """Return where each entity is, by its name as text.

    Raises:
        DataError: An entity is null or occurs twice.
    """
    found: dict[str, int] = {}
    for position, entity in enumerate(entities):
        if entity is None:
            raise DataError(
                f"Row {position:,} of the {what} has no entity.",
                remedy="Drop such rows: nobody can say what they are.",
            )
        name = str(entity)
        if name in found:
            raise DataError(
                f"Entity '{name}' occurs twice in the {what}, in rows {found[name]:,} and "
                f"{position:,}.",
                remedy="Keep one row for each entity; with several moments of one, name the row by "
                "both.",
            )
        found[name] = position
    return found


def moments_of(rows: pa.Table, schema: TableSchema) -> list[datetime]:
    """Return as of when each row holds: its decision, else when it was known; else the epoch."""
    for role in _MOMENTS:
        found = schema.with_role(role)
        if len(found) == 1:
            moments = rows[found[0].name].to_pylist()
            return [EPOCH if moment is None else moment for moment in moments]
    return [EPOCH] * rows.num_rows


def machine_votes(
    entities: Sequence[str],
    moments: Sequence[datetime],
    *,
    raters: Sequence[str],
    source: Source,
    labels: Sequence[str | None],
    confidence: Sequence[float | None] | None = None,
    schema: LabelSchema,
) -> dict[str, Any]:
    """Return the columns of `Vote` for votes of machines; a null label abstains.

    They are given as of what they look at, since nobody knows when a rerun would give them.

    Args:
        entities: What each vote is of.
        moments: As of when what was looked at held.
        raters: Who gives each vote, such as "rule:short".
        source: What they are.
        labels: The answers, as written.
        confidence: How sure each is; None where nobody knows.
        schema: By which was answered.
    """
    import pyarrow as pa

    count, nothing = len(entities), pa.nulls(len(entities), pa.string())
    as_of = pa.array(moments, pa.timestamp("us", tz="UTC"))
    return {
        "entity": pa.array(entities, pa.string()),
        "rater": pa.array(raters, pa.string()),
        "source": pa.array([source] * count, pa.string()),
        "label": pa.array(labels, pa.string()),
        "skipped": nothing,
        "confidence": pa.nulls(count, pa.float64())
        if confidence is None
        else pa.array(confidence, pa.float64()),
        "slice": pa.array(["chosen"] * count, pa.string()),
        "gold": nothing,
        "as_of": as_of,
        "voted_at": as_of,
        "seconds": pa.nulls(count, pa.float64()),
        "suggested": nothing,
        "suggested_by": nothing,
        "suggestion_shown": pa.array([False] * count, pa.bool_()),
        "schema_version": pa.array([schema.version] * count, pa.string()),
        "batch": pa.array([""] * count, pa.string()),
    }
