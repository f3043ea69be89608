"""This module keeps what is to be told of batches, until whoever sends it says that it was."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from headrace.clock import current_clock
from headrace.labels.tables import label_notice

COMPLETED = "headrace.labels.completed"
CLOSED = "headrace.labels.closed"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """This is something to be told, at least once.

    Attributes:
        id: A UUID, by which who is told knows it again.
        event: "headrace.labels.completed" or "headrace.labels.closed".
        resource: What it is about: "headrace.label_task.news_topic".
        payload: The batch: task, batch, number and schema_version, and why it was closed.
        at: When it happened.
    """

    id: str
    event: str
    resource: str
    payload: Mapping[str, Any]
    at: datetime


def note(connection: Connection, event: str, batch: Any, **more: Any) -> None:
    """Write down that something is to be told of a batch, in the transaction that did it.

    Args:
        connection: Of that transaction.
        event: What happened.
        batch: The batch's row.
        **more: What else is said of it.
    """
    payload = {
        "task": batch.task,
        "batch": batch.id,
        "number": batch.number,
        "schema_version": batch.schema_version,
    }
    connection.execute(
        insert(label_notice).values(
            id=str(uuid.uuid4()),
            event=event,
            resource=f"headrace.label_task.{batch.task}",
            payload=payload | more,
            at=current_clock().now(),
        )
    )


def waiting(connection: Connection, limit: int) -> list[Notice]:
    """Return what is still to be told, the oldest first."""
    query = (
        select(label_notice)
        .where(label_notice.c.told_at.is_(None))
        .order_by(label_notice.c.at, label_notice.c.id)
        .limit(limit)
    )
    return [
        Notice(id=row.id, event=row.event, resource=row.resource, payload=row.payload, at=row.at)
        for row in connection.execute(query)
    ]


def mark_told(connection: Connection, notice: str) -> None:
    """Write down that a notice was told; doing it twice changes nothing."""
    mine = (label_notice.c.id == notice) & label_notice.c.told_at.is_(None)
    connection.execute(update(label_notice).where(mine).values(told_at=current_clock().now()))
