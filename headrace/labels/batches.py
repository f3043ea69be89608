"""This module reads batches and their items, and ends batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from headrace.clock import current_clock
from headrace.errors import DataError
from headrace.labels.items import Batch, BatchStatus, NewItem
from headrace.labels.notices import CLOSED, note
from headrace.labels.refusals import batch_closed, shown_time
from headrace.labels.tables import label_batch, label_item
from headrace.labels.terms import TermsOfBatches, no_such_batch
from headrace.labels.texts import clean, is_whole, reason_of

# all but the terms, which are long and kept apart
_COLUMNS = [c for c in label_batch.c if c.name != "terms"]
_LOCKED = select(*_COLUMNS).where(label_batch.c.id == bindparam("of_batch")).with_for_update()


@dataclass(frozen=True, kw_only=True)
class QueueItem(NewItem):
    """This is an item of a batch as it stands.

    Attributes:
        id: Its number.
        batch: Id of its batch.
        overlap: How many votes are wanted.
        votes: Votes that stand.
        skips: Skips that stand.
        open: Whether it may be given to raters.
    """

    id: int
    batch: str
    overlap: int
    votes: int
    skips: int
    open: bool


def locked(connection: Connection, batch: str) -> Row[Any]:
    """Return a batch's row, which nobody else changes until the transaction ends.

    Everything that changes a batch, its items, leases or votes begins here, so that such changes
    happen one after the other, in SQLite as in PostgreSQL.

    Raises:
        UnknownNameError: There is no such batch.
    """
    row = None
    if is_whole(batch):
        row = connection.execute(_LOCKED, {"of_batch": batch}).one_or_none()
    if row is None:
        raise no_such_batch(connection, batch)
    return row


def batch_with(connection: Connection, batch: str) -> Batch:
    """Return a batch by its id.

    Raises:
        UnknownNameError: There is no such batch.
    """
    query = select(*_COLUMNS).where(label_batch.c.id == batch)
    row = connection.execute(query).one_or_none() if is_whole(batch) else None
    if row is None:
        raise no_such_batch(connection, batch)
    return batch_of(row)


def batches_of(connection: Connection, task: str | None, status: BatchStatus | None) -> list[Batch]:
    """Return batches, the newest first, of one task or all, in one status or any."""
    query = select(*_COLUMNS)
    if task is None:
        query = query.order_by(label_batch.c.created_at.desc(), label_batch.c.task)
    elif not is_whole(task):
        return []
    else:  # by number alone: a clock may have been put back
        query = query.where(label_batch.c.task == task)
    query = query.order_by(label_batch.c.number.desc())
    if status is not None:
        query = query.where(label_batch.c.status == status)
    return [batch_of(row) for row in connection.execute(query)]


def items_of(connection: Connection, terms_of: TermsOfBatches, batch: str) -> list[QueueItem]:
    """Return the items of a batch, in the order in which they are asked.

    Raises:
        UnknownNameError: There is no such batch.
    """
    show = terms_of.of(connection, batch).show
    query = select(label_item).where(label_item.c.batch == batch).order_by(label_item.c.id)
    return [
        QueueItem(**{**row._mapping, "shown": {name: row.shown[name] for name in show}})
        for row in connection.execute(query)
    ]


def close_locked(connection: Connection, row: Row[Any], why: str, actor: str) -> None:
    """End a batch whose row is locked; one that was ended stays as it is.

    Raises:
        DataError: Nothing is said of why.
    """
    said = reason_of(why)
    if not said:
        raise DataError(
            f"Batch '{row.id}' cannot be closed without a reason.",
            remedy="Say why; raters who come too late read it.",
        )
    if row.status == "closed":
        return
    ended = {"status": "closed", "ended_at": current_clock().now(), "ended_by": actor, "why": said}
    connection.execute(update(label_batch).where(label_batch.c.id == row.id).values(ended))
    note(connection, CLOSED, row, why=said)


def close_overdue(connection: Connection, batch: str) -> list[Batch]:
    """End a batch because its deadline has passed; nothing for one that is not open any more."""
    row = locked(connection, batch)
    if row.status != "open" or row.deadline is None:
        return []
    close_locked(connection, row, why_overdue(row.deadline), "the deadline")
    return [batch_with(connection, batch)]


def refer(connection: Connection, batch: str, external: Mapping[str, Any]) -> None:
    """Write down what another back-end calls a batch."""
    locked(connection, batch)
    mine = label_batch.c.id == batch
    connection.execute(update(label_batch).where(mine).values(external=clean(external)))


def overdue(connection: Connection, now: datetime) -> list[str]:
    """Return the ids of open batches whose deadline has passed."""
    query = select(label_batch.c.id).where(
        label_batch.c.status == "open", label_batch.c.deadline <= now
    )
    return list(connection.scalars(query.order_by(label_batch.c.deadline, label_batch.c.id)))


def why_overdue(deadline: datetime) -> str:
    """Return why a batch is closed when its deadline has passed."""
    return f"its deadline, {shown_time(deadline)}, has passed"


def require_not_ended(row: Row[Any], item: int | None = None) -> None:
    """Refuse what would change a batch that was closed, or would be if somebody had looked.

    Raises:
        Refused: It was closed, or its deadline has passed.
    """
    if row.status == "closed":
        raise batch_closed(row.id, row.why, row.ended_at, item)
    late = row.deadline is not None and row.deadline <= current_clock().now()
    if late and row.status == "open":
        raise batch_closed(row.id, why_overdue(row.deadline), None, item)


def batch_of(row: Row[Any]) -> Batch:
    """Return a batch's row as a value."""
    values = dict(row._mapping)
    for hidden in ("key", "actor", "ended_by"):
        values.pop(hidden)
    return Batch(**values)
