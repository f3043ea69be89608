"""This module takes votes back: nothing is removed, another row says what stands no longer."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, select

from headrace.clock import current_clock
from headrace.labels.batches import locked, require_not_ended
from headrace.labels.counting import RATER, count, fall, standing_vote, write_vote
from headrace.labels.declaring import one_at_a_time, task_named
from headrace.labels.items import Claim
from headrace.labels.leases import claim_of, give, held, others_at
from headrace.labels.refusals import Refused, batch_closed, request_reused
from headrace.labels.standstill import settle
from headrace.labels.tables import label_batch, label_item, label_standing, label_vote
from headrace.labels.terms import TermsOfBatches, require_rater, require_text
from headrace.labels.voting import vote_of_request


def undo(
    connection: Connection, terms_of: TermsOfBatches, rater: str, task: str, *, request: str
) -> Claim:
    """Take a rater's last vote or skip back and give them its item again.

    A batch that was complete is open again. The same request again changes nothing.

    Raises:
        UnknownNameError: There is no such task.
        Refused: There is nothing to take back, or what there is can no longer be.
    """
    require_text("request", request)
    require_rater(connection, rater)
    known = vote_of_request(connection, request)
    if known is not None:
        return _again(connection, terms_of, known, rater, request)
    found = _last(connection, rater, task)
    if found is None:
        task_named(connection, task)
        raise _nothing(rater, task)
    batch = locked(connection, found.batch)
    known = vote_of_request(connection, request)
    if known is not None:
        return _again(connection, terms_of, known, rater, request)
    last = standing_vote(connection, found.item, rater)
    if last is None or last.number != found.number:
        raise _nothing(rater, task)
    item = connection.execute(select(label_item).where(label_item.c.id == last.item)).one()
    terms = terms_of.of(connection, batch.id)
    _require_possible(connection, batch, item, last)
    fall(connection, item.id, rater)
    claim = give(connection, item, terms, rater, corrects=last)
    values = {
        "item": item.id,
        "rater": rater,
        "source": last.source,
        "sort": "undo",
        "supersedes": last.number,
        "at": current_clock().now(),
        "suggestion_shown": last.suggestion_shown,
        "lease": claim.lease,
        "request": request,
    }
    write_vote(connection, batch, values)
    of = {"votes": -1} if last.sort == "vote" else {"skips": -1}
    count(connection, batch, item, terms, rater, **of)
    if batch.status == "complete":  # raters may have come or gone since
        settle(connection, terms_of, batch.id)
    return claim


def _last(connection: Connection, rater: str, task: str) -> Row[Any] | None:
    joined = label_vote.join(label_standing, label_standing.c.vote == label_vote.c.number).join(
        label_batch, label_batch.c.id == label_vote.c.batch
    )
    query: Select[Any] = (
        select(label_vote.c.number, label_vote.c.item, label_vote.c.batch)
        .select_from(joined)
        .where(label_vote.c.rater == rater, label_standing.c.role == RATER)
        .where(label_batch.c.task == task, label_batch.c.backend == "local")
        .order_by(label_vote.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def _require_possible(
    connection: Connection, batch: Row[Any], item: Row[Any], last: Row[Any]
) -> None:
    if batch.status == "closed":
        raise batch_closed(batch.id, batch.why, batch.ended_at, item.id)
    now = current_clock().now()
    require_not_ended(batch, item.id)
    if batch.deadline is not None and batch.deadline <= now:
        raise Refused(
            f"Batch '{batch.id}' is complete and its deadline has passed: nothing in it is undone.",
            remedy="Have somebody who settles ties correct the label.",
            reason="batch_closed",
            item=item.id,
        )
    if batch.status == "complete":  # it is open again then, and nobody may change its labels
        one_at_a_time(connection, batch.task)
    current = task_named(connection, batch.task).labels.version
    if current != batch.schema_version:
        raise Refused(
            f"Batch '{batch.id}' is complete, and the labels of '{batch.task}' have changed since, "
            f"from version {batch.schema_version} to {current}: nothing in it is undone.",
            remedy="Have somebody who settles ties correct the label.",
            reason="batch_closed",
            item=item.id,
        )
    others = others_at(connection, item.id, last.rater, now)
    if last.sort == "skip" and item.votes + others >= item.overlap:
        raise Refused(
            f"Item {item.id}, which '{last.rater}' skipped, has been given to others since; "
            "they answer it.",
            remedy="Go on with the next item.",
            reason="nothing_to_undo",
            item=item.id,
        )


def _again(
    connection: Connection, terms_of: TermsOfBatches, known: Row[Any], rater: str, request: str
) -> Claim:
    if (known.sort, known.rater) != ("undo", rater):
        raise request_reused(request)
    row = held(connection, known.lease)
    if row is None:
        raise Refused(
            f"The answer to item {known.item} was undone by this request before, and the item has "
            "been answered or given anew since.",
            remedy="Ask for the next item, or undo with a new request.",
            reason="nothing_to_undo",
            item=known.item,
        )
    return claim_of(row, terms_of.of(connection, row.batch))


def _nothing(rater: str, task: str) -> Refused:
    return Refused(
        f"'{rater}' has no answer in the task '{task}' that could be undone.",
        remedy="Go on with the next item.",
        reason="nothing_to_undo",
    )
