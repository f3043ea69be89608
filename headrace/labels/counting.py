"""This module writes votes and keeps the counts that go with them, in the same transaction.

Whoever calls it holds the batch's row (`batches.locked`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from headrace.clock import current_clock
from headrace.labels.items import BatchStatus
from headrace.labels.notices import COMPLETED, note
from headrace.labels.refusals import request_reused
from headrace.labels.tables import (
    label_batch,
    label_item,
    label_part,
    label_standing,
    label_vote,
)
from headrace.labels.task import LabelTask
from headrace.labels.terms import population

RATER, ADJUDICATOR = "rater", "adjudicator"
"""In which of two roles somebody's vote on an item stands."""


# Statements of every vote are made once: making one costs more than having it executed.
_INSERT_VOTE = insert(label_vote).returning(label_vote.c.number)
_INSERT_STANDING = insert(label_standing)
_COUNT_ITEM = (
    update(label_item)
    .where(label_item.c.id == bindparam("of_item"))
    .values(votes=bindparam("now_votes"), skips=bindparam("now_skips"), open=bindparam("now_open"))
)
_COUNT_PART = (
    update(label_part)
    .where(label_part.c.batch == bindparam("of_batch"), label_part.c.rater == bindparam("of_rater"))
    .values(
        votes=label_part.c.votes + bindparam("more_votes", type_=Integer),
        skips=label_part.c.skips + bindparam("more_skips", type_=Integer),
    )
)
_COUNT_BATCH = (
    update(label_batch)
    .where(label_batch.c.id == bindparam("of_batch"))
    .values(
        votes=bindparam("now_votes"),
        skips=bindparam("now_skips"),
        done=bindparam("now_done"),
        status=bindparam("now_status"),
        ended_at=bindparam("now_ended_at"),
    )
)


def write_vote(connection: Connection, batch: Row[Any], values: Mapping[str, Any]) -> int:
    """Write a vote, skip or undo down for good, and return its number.

    Raises:
        Refused: Its request stands for something in another batch.
    """
    row = {"batch": batch.id, "schema_version": batch.schema_version, **values}
    try:
        return int(connection.execute(_INSERT_VOTE, row).scalar_one())
    except IntegrityError as problem:  # another batch took the same request at this moment
        if "request" not in str(problem.orig):
            raise
        raise request_reused(str(values["request"])) from problem


def stand(connection: Connection, item: int, rater: str, role: str, vote: int) -> None:
    """Have a vote stand; the rater has none on the item that does."""
    row = {"item": item, "rater": rater, "role": role, "vote": vote}
    connection.execute(_INSERT_STANDING, row)


def fall(connection: Connection, item: int, rater: str, role: str = RATER) -> None:
    """Have a rater's vote on an item stand no longer."""
    connection.execute(delete(label_standing).where(_standing(item, rater, role)))


def standing_vote(
    connection: Connection, item: int, rater: str, role: str = RATER
) -> Row[Any] | None:
    """Return the rater's vote or skip on an item that stands."""
    joined = label_vote.join(label_standing, label_standing.c.vote == label_vote.c.number)
    query = select(label_vote).select_from(joined).where(_standing(item, rater, role))
    return connection.execute(query).one_or_none()


def count(
    connection: Connection,
    batch: Row[Any],
    item: Row[Any],
    terms: LabelTask,
    rater: str,
    *,
    votes: int = 0,
    skips: int = 0,
) -> BatchStatus:
    """Count votes and skips that stand since, or no longer, and return how the batch stands.

    Called after the vote stands or fell. When the last item is done the batch is complete; when
    one is open again, so is the batch.

    Args:
        connection: Holds the batch's row.
        batch: The batch before the change.
        item: The item before the change: id, votes, skips, overlap, open.
        terms: The terms of the batch.
        rater: Whose vote it is.
        votes: How many votes more, or fewer.
        skips: How many skips more, or fewer.
    """
    now_votes, now_skips = item.votes + votes, item.skips + skips
    still_open = not is_done(connection, item, terms, now_votes, now_skips)
    connection.execute(
        _COUNT_ITEM,
        {
            "of_item": item.id,
            "now_votes": now_votes,
            "now_skips": now_skips,
            "now_open": still_open,
        },
    )
    _count_part(connection, batch.id, item.id, rater, votes=votes, skips=skips)
    if still_open and not item.open:
        look_again(connection, batch.id, item.id)
    done = batch.done + int(item.open) - int(still_open)
    status: BatchStatus = "complete" if done == batch.items else "open"
    ended = current_clock().now() if status == "complete" else None
    connection.execute(
        _COUNT_BATCH,
        {
            "of_batch": batch.id,
            "now_votes": batch.votes + votes,
            "now_skips": batch.skips + skips,
            "now_done": done,
            "now_status": status,
            "now_ended_at": batch.ended_at if status == batch.status else ended,
        },
    )
    if status == "complete" and (status != batch.status or votes > 0 or skips > 0):
        note(connection, COMPLETED, batch)
    return status


def is_done(
    connection: Connection, item: Row[Any], terms: LabelTask, votes: int, skips: int
) -> bool:
    """Return whether an item has all its votes, or can get no more.

    An item is set aside when as many raters have skipped it as were to answer it, or when as many
    have answered or skipped it and none of the raters there are is left; see `standstill`.
    """
    if votes >= item.overlap or skips >= item.overlap:
        return True
    if votes + skips < item.overlap:
        return False
    raters = population(connection, terms, item.batch)
    answered = connection.scalars(
        select(label_standing.c.rater).where(
            label_standing.c.item == item.id, label_standing.c.role == RATER
        )
    )
    return bool(raters) and raters <= set(answered)


def _count_part(
    connection: Connection, batch: str, item: int, rater: str, *, votes: int, skips: int
) -> None:
    more = {"more_votes": votes, "more_skips": skips}
    counted = connection.execute(_COUNT_PART, {"of_batch": batch, "of_rater": rater, **more})
    if not counted.rowcount:
        fresh = {"batch": batch, "rater": rater, "passed": 0, "votes": votes, "skips": skips}
        connection.execute(insert(label_part), fresh)
    if votes + skips < 0:  # what was undone may be given to its rater again
        mine = (label_part.c.batch == batch) & (label_part.c.rater == rater)
        past = update(label_part).where(mine, label_part.c.passed >= item)
        connection.execute(past.values(passed=item - 1))


def look_again(connection: Connection, batch: str, item: int) -> None:
    """Have every rater who was past an item come by it again: it is open once more."""
    past = (label_part.c.batch == batch) & (label_part.c.passed >= item)
    connection.execute(update(label_part).where(past).values(passed=item - 1))


def _standing(item: int, rater: str, role: str) -> Any:
    return (
        (label_standing.c.item == item)
        & (label_standing.c.rater == rater)
        & (label_standing.c.role == role)
    )
