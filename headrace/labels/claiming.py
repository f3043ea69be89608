"""This module gives raters their next item.

A rater is given the first item, in the order of asking, that is open, that they have not answered,
and that has a place: votes and live leases of others are fewer than the votes wanted. Nothing looks
through what a rater has answered: `label_part.passed` says up to where there is nothing for them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from headrace.clock import current_clock
from headrace.errors import DataError, ParameterError
from headrace.labels.batches import locked, require_not_ended
from headrace.labels.counting import RATER
from headrace.labels.declaring import task_named
from headrace.labels.items import Claim
from headrace.labels.leases import claim_of, give, held_by, others_at, was_given
from headrace.labels.refusals import Refused, already_voted, item_full, item_not_given
from headrace.labels.tables import label_batch, label_item, label_lease, label_part, label_standing
from headrace.labels.terms import TermsOfBatches, require_allowed, require_rater

_MOST_AHEAD = 5
_MOST_ITEM = 2**63  # databases know no larger number
_AT_ONCE = 16  # items with a place are looked for so many at a time


def _candidates() -> Select[Any]:
    held = (
        select(func.count())
        .select_from(label_lease)
        .where(label_lease.c.item == label_item.c.id, label_lease.c.expires_at > bindparam("now"))
    )
    others = held.where(label_lease.c.rater != bindparam("of_rater")).scalar_subquery()
    mine = held.where(label_lease.c.rater == bindparam("of_rater")).scalar_subquery()
    answered = (
        select(label_standing.c.vote)
        .where(label_standing.c.item == label_item.c.id)
        .where(label_standing.c.rater == bindparam("of_rater"), label_standing.c.role == RATER)
        .exists()
    )
    counts = (label_item.c.votes, label_item.c.overlap, others.label("others"), mine.label("mine"))
    return (
        select(label_item.c.id, *counts)
        .where(label_item.c.batch == bindparam("of_batch"), label_item.c.open)
        .where(label_item.c.id > bindparam("after"), ~answered)
        .order_by(label_item.c.id)
        .limit(_AT_ONCE)
    )


CANDIDATES = _candidates()
"""The next open items that a rater has not answered, a few at a time.

Takes `of_batch`, `of_rater`, `after` (an item's number) and `now`.
"""
_OPEN_BATCHES = (
    select(label_batch.c.id, label_batch.c.deadline)
    .where(label_batch.c.task == bindparam("of_task"), label_batch.c.status == "open")
    .where(label_batch.c.backend == "local")
    .order_by(label_batch.c.number)
    .with_for_update()
)
_PASSED = select(label_part.c.passed).where(
    label_part.c.batch == bindparam("of_batch"), label_part.c.rater == bindparam("of_rater")
)
_ITEM = select(label_item).where(label_item.c.id == bindparam("of_item"))
_PASS = (
    update(label_part)
    .where(label_part.c.batch == bindparam("of_batch"), label_part.c.rater == bindparam("of_rater"))
    .values(passed=bindparam("now_passed"))
)


def claim(
    connection: Connection, terms_of: TermsOfBatches, task: str, rater: str, *, ahead: int
) -> Claim | None:
    """Return an item that a rater holds already, or give them the next one.

    Raises:
        UnknownNameError: There is no such task.
        ParameterError: That is too far ahead.
        Refused: The rater may not answer.
    """
    if not 0 <= ahead <= _MOST_AHEAD:
        raise ParameterError(
            f"Items cannot be fetched {ahead} ahead.",
            remedy=f"Fetch at most {_MOST_AHEAD} ahead: what one rater holds, no other is given.",
        )
    # first of all: a rater who was revoked meanwhile, or asks twice at once, is seen only then
    waiting = _open_batches(connection, task)
    require_rater(connection, rater)
    mine = held_by(connection, task, rater)
    if len(mine) > ahead:
        return claim_of(mine[ahead], terms_of.of(connection, mine[ahead].batch))
    refusal: DataError | None = None
    for batch in waiting:
        terms = terms_of.of(connection, batch)
        try:
            require_allowed(terms, rater)
        except Refused as problem:
            refusal = problem
            continue
        item = _next_item(connection, batch, rater)
        if item is not None:
            return give(connection, item, terms, rater)
    if refusal is not None:
        raise refusal
    task_named(connection, task)
    return None


def claim_item(
    connection: Connection, terms_of: TermsOfBatches, task: str, rater: str, item: int
) -> Claim:
    """Return one item that a rater holds already, or give them one that they were given before.

    Whoever could ask for any item could choose what they answer, also of the random slice and of
    gold; only those who settle ties, and so see what others voted anyway, may.

    Raises:
        UnknownNameError: There is no such task.
        Refused: There is no such item in it, the rater was never given it, or it has no place for
            them.
    """
    task_named(connection, task)
    joined = label_item.join(label_batch, label_batch.c.id == label_item.c.batch)
    of = select(label_batch.c.id, label_batch.c.task, label_batch.c.backend).select_from(joined)
    known = 0 < item < _MOST_ITEM
    found = connection.execute(of.where(label_item.c.id == item)).one_or_none() if known else None
    if found is None or (found.task, found.backend) != (task, "local"):
        raise Refused(
            f"The task '{task}' has no item {item} that raters answer here.",
            remedy="Ask for the next item.",
            reason="item_unknown",
            item=item,
        )
    batch = locked(connection, found.id)
    may_pick = require_rater(connection, rater)
    require_not_ended(batch, item)
    terms = terms_of.of(connection, found.id)
    require_allowed(terms, rater)
    mine = [row for row in held_by(connection, task, rater) if row.id == item]
    if mine:
        return claim_of(mine[0], terms)
    row = connection.execute(select(label_item).where(label_item.c.id == item)).one()
    if connection.scalar(_mine(rater).where(label_standing.c.item == item)) is not None:
        raise already_voted(item, rater)
    if not may_pick and not was_given(connection, item, rater):
        raise item_not_given(item, rater)
    now = current_clock().now()
    if not row.open or row.votes + others_at(connection, item, rater, now) >= row.overlap:
        raise item_full(item, row.overlap)
    return give(connection, row, terms, rater)


def _open_batches(connection: Connection, task: str) -> list[str]:
    """Return the batches that are answered here, the oldest first; nobody else changes them."""
    now = current_clock().now()
    rows = connection.execute(_OPEN_BATCHES, {"of_task": task}).all()
    return [row.id for row in rows if row.deadline is None or row.deadline > now]


def _next_item(connection: Connection, batch: str, rater: str) -> Row[Any] | None:
    of: dict[str, Any] = {"of_batch": batch, "of_rater": rater}
    passed = connection.scalar(_PASSED, of)
    of |= {"now": current_clock().now(), "after": passed or 0}
    first = True
    while True:
        rows = connection.execute(CANDIDATES, of).all()
        if first and rows and (passed is None or rows[0].id - 1 > passed):
            _pass(connection, batch, rater, rows[0].id - 1, known=passed is not None)
        first = False
        free = next((r for r in rows if not r.mine and r.votes + r.others < r.overlap), None)
        if free is not None:
            return connection.execute(_ITEM, {"of_item": free.id}).one()
        if len(rows) < _AT_ONCE:
            return None
        of["after"] = rows[-1].id


def _pass(connection: Connection, batch: str, rater: str, item: int, *, known: bool) -> None:
    if known:
        of = {"of_batch": batch, "of_rater": rater, "now_passed": item}
        connection.execute(_PASS, of)
        return
    row = {"batch": batch, "rater": rater, "passed": item, "votes": 0, "skips": 0}
    connection.execute(insert(label_part), row)


def _mine(rater: str) -> Select[Any]:
    return select(label_standing.c.vote).where(
        label_standing.c.rater == rater, label_standing.c.role == RATER
    )
