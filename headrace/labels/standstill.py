"""This module finds what nobody is left to answer: raters come and go while a batch is open.

An item is set aside when as many raters have answered or skipped it as were to answer it, and none
of the raters there are is left. With fewer it waits, for somebody else may come: a rater who was
replaced would otherwise end a batch that nobody else has answered. What waits so is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from headrace.clock import current_clock
from headrace.labels.batches import locked
from headrace.labels.counting import RATER, look_again
from headrace.labels.items import Batch
from headrace.labels.notices import COMPLETED, note
from headrace.labels.tables import (
    label_batch,
    label_item,
    label_lease,
    label_part,
    label_rater,
    label_standing,
)
from headrace.labels.task import LabelTask
from headrace.labels.terms import TermsOfBatches, population


@dataclass(frozen=True, kw_only=True)
class Stranded:
    """This is what an open batch waits for, and none of the raters there are can give.

    Attributes:
        items: Open items that everybody who may answer has answered or skipped.
        short: Other open items for which fewer raters are left than votes are missing.
        lacking: How many raters more would do.
        remedy: What can be done.
    """

    items: int
    short: int
    lacking: int
    remedy: str

    @property
    def problem(self) -> str:
        """What is wrong, in words."""
        parts = []
        if self.items:
            parts.append(f"nobody is left to answer {_items(self.items)}")
        if self.short:
            parts.append(f"{_items(self.short)} cannot get all votes")
        return " and ".join(parts)


def stranded(connection: Connection, terms_of: TermsOfBatches, batch: Batch) -> Stranded | None:
    """Return what of a batch the raters there are cannot complete; None where they can.

    Nothing is said where nobody knows who the raters are: there is none yet, or some vote who were
    never made raters, such as functions in a notebook.
    """
    if batch.status != "open" or batch.backend != "local":
        return None
    terms = terms_of.of(connection, batch.id)
    raters = population(connection, terms, batch.id)
    if terms.raters is None and not _all_are_known(connection, batch.id):
        return None
    items = short = lacking = 0
    for row in connection.execute(_missing(batch.id, raters)):
        left = len(raters) - row.answered
        lacks = row.overlap - row.votes - left
        if left == 0:
            items += row.alike
        elif lacks > 0:
            short += row.alike
        lacking = max(lacking, lacks)
    if not items and not short:
        return None
    remedy = _remedy(terms, raters, batch.id, lacking)
    return Stranded(items=items, short=short, lacking=lacking, remedy=remedy)


def unsettled(connection: Connection, terms_of: TermsOfBatches) -> list[str]:
    """Return the open batches in which an item should be set aside, or be open again."""
    found = connection.execute(_open_batches().where(label_batch.c.skips > 0)).all()
    return [row.id for row in found if _changes(connection, terms_of.of(connection, row.id), row)]


def settle(connection: Connection, terms_of: TermsOfBatches, batch: str) -> None:
    """Set aside what nobody is left to answer, and open again what somebody could.

    A batch of which nothing is left is complete.

    Args:
        connection: A writing one.
        terms_of: The terms of batches.
        batch: Id of the batch; one that is not open, or answered elsewhere, stays as it is.
    """
    row = locked(connection, batch)
    if row.status != "open" or row.backend != "local":
        return
    changes = _changes(connection, terms_of.of(connection, batch), row)
    for item, opens in changes.items():
        mine = label_item.c.id == item
        connection.execute(update(label_item).where(mine).values(open=opens))
        if opens:
            look_again(connection, batch, item)
    done = row.done + sum(-1 if opens else 1 for opens in changes.values())
    if not changes:
        return
    ended: dict[str, Any] = {}
    if done == row.items:
        ended = {"status": "complete", "ended_at": current_clock().now()}
        note(connection, COMPLETED, row)
    same = label_batch.c.id == batch
    connection.execute(update(label_batch).where(same).values(done=done, **ended))


def settle_all(connection: Connection, *, leaves: str | None = None) -> None:
    """Settle every open batch after somebody became a rater, or is none any more.

    Args:
        connection: A writing one, in which the rater was changed.
        leaves: Who is none any more: what they hold is free for others at once.
    """
    query = _open_batches().order_by(label_batch.c.task, label_batch.c.number)
    # whoever claims or votes holds a batch and then looks at its rater, so none slips through
    rows = connection.execute(query.with_for_update()).all()
    if leaves is not None:
        connection.execute(label_lease.delete().where(label_lease.c.rater == leaves))
    terms_of = TermsOfBatches()
    for row in rows:
        settle(connection, terms_of, row.id)


def _open_batches() -> Select[Any]:
    return select(label_batch.c.id).where(
        label_batch.c.status == "open", label_batch.c.backend == "local"
    )


def _changes(connection: Connection, terms: LabelTask, batch: Any) -> dict[int, bool]:
    """Return which items of a batch are to be open, or not, that are otherwise."""
    raters = population(connection, terms, batch.id)
    votes, skips, overlap = label_item.c.votes, label_item.c.skips, label_item.c.overlap
    query = (
        select(label_item.c.id, label_item.c.open, _answered(raters).label("answered"))
        .where(label_item.c.batch == batch.id, votes < overlap, skips < overlap)
        .where(votes + skips >= overlap)
        .order_by(label_item.c.id)
    )
    found = {}
    for row in connection.execute(query):
        opens = not raters or row.answered < len(raters)
        if opens != row.open:
            found[int(row.id)] = opens
    return found


def _missing(batch: str, raters: set[str]) -> Select[Any]:
    """Return the query for how many open items have how many votes, and answers of raters."""
    each = (
        select(label_item.c.votes, label_item.c.overlap, _answered(raters).label("answered"))
        .where(label_item.c.batch == batch, label_item.c.open)
        .subquery()
    )
    by = (each.c.votes, each.c.overlap, each.c.answered)
    return select(*by, func.count().label("alike")).group_by(*by)


def _answered(raters: set[str]) -> Any:
    return (
        select(func.count())
        .select_from(label_standing)
        .where(label_standing.c.item == label_item.c.id, label_standing.c.role == RATER)
        .where(label_standing.c.rater.in_(sorted(raters)))
        .correlate(label_item)
        .scalar_subquery()
    )


def _all_are_known(connection: Connection, batch: str) -> bool:
    names = select(label_rater.c.name)
    if connection.scalar(names.limit(1)) is None:
        return False
    unknown = select(label_part.c.rater).where(label_part.c.batch == batch)
    return connection.scalar(unknown.where(label_part.c.rater.not_in(names)).limit(1)) is None


def _remedy(terms: LabelTask, raters: set[str], batch: str, lacking: int) -> str:
    close = f"end it as it is: `headrace label close {batch} --reason ...`."
    if terms.raters is None:
        more = "a rater" if lacking <= 1 else f"{lacking} raters"
        return f"Add {more}: `headrace label raters add NAME`; or {close}"
    back = ", ".join(f"`headrace label raters rotate {r}`" for r in terms.raters if r not in raters)
    return f"Only raters whom the task names may answer. Give a token again: {back}; or {close}"


def _items(count: int) -> str:
    return f"{count:,} item" if count == 1 else f"{count:,} items"
