"""This module reads the votes that stand, and how long people took."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, select

from headrace.labels.batches import batch_with
from headrace.labels.declaring import task_named
from headrace.labels.items import VoteRecord
from headrace.labels.tables import label_batch, label_item, label_standing, label_vote

_READ = (
    label_vote.c.number,
    label_vote.c.item,
    label_item.c.entity,
    label_vote.c.batch,
    label_vote.c.rater,
    label_vote.c.source,
    label_vote.c.label,
    label_vote.c.skipped,
    label_vote.c.ms,
    label_vote.c.at,
    label_item.c.as_of,
    label_vote.c.schema_version,
    label_item.c.slice,
    label_item.c.gold,
    label_item.c.suggested,
    label_item.c.suggested_by,
    label_vote.c.suggestion_shown,
)


def standing(
    connection: Connection,
    *,
    batch: str | None = None,
    task: str | None = None,
    schema_version: str | None = None,
) -> list[VoteRecord]:
    """Return the votes and skips that stand, in the order in which they were taken.

    Raises:
        UnknownNameError: There is no such batch or task.
    """
    query = standing_query().order_by(label_vote.c.number)
    if batch is not None:
        batch_with(connection, batch)
        query = query.where(label_vote.c.batch == batch)
    if task is not None:
        task_named(connection, task)
        query = query.where(_of_task(task))
    if schema_version is not None:
        query = query.where(label_vote.c.schema_version == schema_version)
    return [record_of(row) for row in connection.execute(query)]


def standing_query() -> Select[Any]:
    """Return the query for all votes that stand, each with what `record_of` needs."""
    joined = label_vote.join(label_standing, label_standing.c.vote == label_vote.c.number).join(
        label_item, label_item.c.id == label_vote.c.item
    )
    return select(*_READ).select_from(joined)


def record_of(row: Row[Any]) -> VoteRecord:
    """Return a row of `standing_query` as a value."""
    values = dict(row._mapping)
    values.pop("item")
    ms = values.pop("ms")
    return VoteRecord(seconds=None if ms is None else ms / 1000, **values)


def seconds_of(connection: Connection, task: str) -> list[float]:
    """Return how long each vote and skip of a task took, in seconds, in the order of voting.

    Those that were undone are among them: the time was spent. Those that nobody measured are not.

    Raises:
        UnknownNameError: There is no such task.
    """
    task_named(connection, task)
    query = (
        select(label_vote.c.ms)
        .where(label_vote.c.ms.is_not(None), _of_task(task))
        .order_by(label_vote.c.number)
    )
    return [ms / 1000 for ms in connection.scalars(query)]


def _of_task(task: str) -> Any:
    batches = select(label_batch.c.id).where(label_batch.c.task == task)
    return label_vote.c.batch.in_(batches)
