"""This module keeps which rater was given which item, and until when."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select

from headrace.clock import current_clock
from headrace.labels.asked import share_of
from headrace.labels.items import Claim
from headrace.labels.tables import label_batch, label_item, label_lease, label_vote
from headrace.labels.task import LabelTask

_CLAIMED = (
    label_lease.c.lease,
    label_lease.c.rater,
    label_lease.c.given_at,
    label_lease.c.expires_at,
    label_lease.c.suggestion_shown,
    label_lease.c.corrects,
    label_item,
    label_vote.c.label.label("corrected"),
)
_JOINED = label_lease.join(label_item, label_item.c.id == label_lease.c.item).outerjoin(
    label_vote, label_vote.c.number == label_lease.c.corrects
)


_HELD = select(*_CLAIMED).select_from(_JOINED).where(label_lease.c.lease == bindparam("of_lease"))
_HELD_BY = (
    select(*_CLAIMED)
    .select_from(_JOINED.join(label_batch, label_batch.c.id == label_item.c.batch))
    .where(label_lease.c.rater == bindparam("of_rater"))
    .where(label_lease.c.expires_at > bindparam("now"))
    .where(label_batch.c.task == bindparam("of_task"), label_batch.c.status != "closed")
    .where(label_batch.c.deadline.is_(None) | (label_batch.c.deadline > bindparam("now")))
    .order_by(label_lease.c.corrects.is_(None), label_lease.c.given_at, label_lease.c.item)
)
_BATCH_OF_LEASE = (
    select(label_item.c.batch)
    .select_from(label_lease.join(label_item, label_item.c.id == label_lease.c.item))
    .where(label_lease.c.lease == bindparam("of_lease"))
)
_RELEASE = delete(label_lease).where(
    label_lease.c.item == bindparam("of_item"), label_lease.c.rater == bindparam("of_rater")
)


def give(
    connection: Connection,
    item: Row[Any],
    terms: LabelTask,
    rater: str,
    *,
    corrects: Row[Any] | None = None,
) -> Claim:
    """Give an item to a rater; an earlier lease of theirs on it is none any more.

    Whether its suggestion is hidden is drawn once for each item and rater, so that nobody sees it
    at a second look who did not see it at the first.
    """
    release(connection, item.id, rater)
    now, lease = current_clock().now(), secrets.token_hex(16)
    expires = now + timedelta(seconds=terms.lease_seconds)
    hidden = share_of("suggestion", item.batch, item.entity, rater) < terms.hide_suggestions
    shown = item.suggested is not None and terms.suggest and not hidden
    row = {
        "item": item.id,
        "rater": rater,
        "lease": lease,
        "given_at": now,
        "expires_at": expires,
        "suggestion_shown": shown,
        "corrects": None if corrects is None else corrects.number,
    }
    connection.execute(insert(label_lease), row)
    return Claim(
        item=item.id,
        batch=item.batch,
        task=terms.name,
        shown={name: item.shown[name] for name in terms.show},
        suggested=item.suggested if shown else None,
        lease=lease,
        expires_at=expires,
        vote=None if corrects is None else corrects.label,
    )


def release(connection: Connection, item: int, rater: str) -> None:
    """Take an item back from a rater; one that they do not hold is let be."""
    connection.execute(_RELEASE, {"of_item": item, "of_rater": rater})


def held(connection: Connection, lease: str) -> Row[Any] | None:
    """Return a lease with its item, whether or not it has expired."""
    return connection.execute(_HELD, {"of_lease": lease}).one_or_none()


def held_by(connection: Connection, task: str, rater: str) -> list[Row[Any]]:
    """Return what a rater holds of a task: first what they correct, then the oldest."""
    of = {"of_rater": rater, "of_task": task, "now": current_clock().now()}
    return list(connection.execute(_HELD_BY, of))


def was_given(connection: Connection, item: int, rater: str) -> bool:
    """Return whether a rater was given an item before: an old lease or an answer says so."""
    lease = select(label_lease.c.lease).where(label_lease.c.item == item)
    answer = select(label_vote.c.number).where(label_vote.c.item == item)
    return (
        connection.scalar(lease.where(label_lease.c.rater == rater)) is not None
        or connection.scalar(answer.where(label_vote.c.rater == rater).limit(1)) is not None
    )


def others_at(connection: Connection, item: int, rater: str, now: datetime) -> int:
    """Return how many other raters hold an item at a moment."""
    query = (
        select(func.count())
        .select_from(label_lease)
        .where(label_lease.c.item == item, label_lease.c.rater != rater)
        .where(label_lease.c.expires_at > now)
    )
    return int(connection.scalar(query) or 0)


def batch_of_lease(connection: Connection, lease: str) -> str | None:
    """Return the batch of the item that a lease is about."""
    found: str | None = connection.scalar(_BATCH_OF_LEASE, {"of_lease": lease})
    return found


def claim_of(row: Row[Any], terms: LabelTask) -> Claim:
    """Return a lease with its item as what a rater is shown: nothing tells gold from others."""
    return Claim(
        item=row.id,
        batch=row.batch,
        task=terms.name,
        shown={name: row.shown[name] for name in terms.show},
        suggested=row.suggested if row.suggestion_shown else None,
        lease=row.lease,
        expires_at=row.expires_at,
        vote=row.corrected,
    )
