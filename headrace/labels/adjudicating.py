"""This module settles what raters differ about: the last word of who may say it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, func, select

from headrace.clock import current_clock
from headrace.labels.batches import batch_with, locked
from headrace.labels.counting import ADJUDICATOR, RATER, stand, write_vote
from headrace.labels.items import Receipt, VoteRecord
from headrace.labels.refusals import Refused, batch_closed, request_reused
from headrace.labels.standing import record_of, standing_query
from headrace.labels.tables import label_item, label_rater, label_standing, label_vote
from headrace.labels.terms import TermsOfBatches, require_rater, require_text
from headrace.labels.voting import receipt_of, vote_of_request


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """This is an item about which raters differ, and nobody has settled it.

    Attributes:
        item: Its number.
        batch: Id of its batch.
        entity: What it is.
        shown: What raters saw.
        votes: Their votes, in the order in which they were taken.
    """

    item: int
    batch: str
    entity: str
    shown: Mapping[str, Any]
    votes: tuple[VoteRecord, ...]


def conflicts_of(connection: Connection, terms_of: TermsOfBatches, batch: str) -> list[Conflict]:
    """Return the items of a batch that raters differ about, in the order of asking.

    Numbers within the schema's tolerance do not differ. Only of items that have their votes: of
    others, further votes may still decide.

    Raises:
        UnknownNameError: There is no such batch.
    """
    ended = batch_with(connection, batch).status == "closed"
    differ = _differing(batch)
    if not ended:
        differ = differ.where(~label_item.c.open)
    items = list(connection.scalars(differ))
    terms = terms_of.of(connection, batch)
    found = []
    for start in range(0, len(items), 500):  # databases limit how many values one query takes
        some = items[start : start + 500]
        shown = dict(
            connection.execute(
                select(label_item.c.id, label_item.c.shown).where(label_item.c.id.in_(some))
            ).all()
        )
        query = standing_query().where(label_vote.c.item.in_(some), label_vote.c.label.is_not(None))
        rows = connection.execute(query.order_by(label_vote.c.item, label_vote.c.number)).all()
        for item, votes in groupby(rows, key=lambda row: int(row.item)):
            records = tuple(record_of(row) for row in votes)
            if not terms.labels.differ([str(record.label) for record in records]):
                continue
            found.append(
                Conflict(
                    item=item,
                    batch=batch,
                    entity=records[0].entity,
                    shown={name: shown[item][name] for name in terms.show},
                    votes=records,
                )
            )
    return found


def adjudicate(
    connection: Connection,
    terms_of: TermsOfBatches,
    item: int,
    rater: str,
    answer: Any,
    *,
    request: str,
) -> Receipt:
    """Say what an item is, whatever raters voted; a later word replaces an earlier one.

    Raises:
        DataError: The answer is none to the schema.
        Refused: The rater may not settle ties, nobody answered the item, or its batch was closed.
    """
    require_text("request", request)
    require_rater(connection, rater)
    known_item = select(label_item.c.batch).where(label_item.c.id == item)
    batch_id = connection.scalar(known_item) if 0 < item < 2**63 else None
    if batch_id is None:
        raise _unknown(item)
    batch = locked(connection, batch_id)
    _require_adjudicator(connection, rater)
    label = terms_of.of(connection, batch_id).labels.read(answer)
    known = vote_of_request(connection, request)
    if known is not None:
        if (known.source, known.item, known.rater, known.label) != (
            ADJUDICATOR, item, rater, label,
        ):  # fmt: skip
            raise request_reused(request)
        return receipt_of(connection, known)
    if batch.status == "closed":
        raise batch_closed(batch.id, batch.why, batch.ended_at, item)
    of_item = select(label_standing.c.vote).where(label_standing.c.item == item)
    if connection.scalar(of_item.where(label_standing.c.role == RATER).limit(1)) is None:
        raise _unknown(item)
    said_before = label_standing.c.role == ADJUDICATOR
    now = current_clock().now()
    values = {
        "item": item,
        "rater": rater,
        "source": ADJUDICATOR,
        "sort": "vote",
        "label": label,
        "supersedes": connection.scalar(of_item.where(said_before)),
        "at": now,
        "suggestion_shown": False,
        "request": request,
    }
    connection.execute(delete(label_standing).where(label_standing.c.item == item, said_before))
    number = write_vote(connection, batch, values)
    stand(connection, item, rater, ADJUDICATOR, number)
    return Receipt(number=number, item=item, label=label, at=now, batch_status=batch.status)


def _differing(batch: str) -> Any:
    joined = label_standing.join(label_vote, label_vote.c.number == label_standing.c.vote).join(
        label_item, label_item.c.id == label_standing.c.item
    )
    settled = (
        select(label_standing.c.vote)
        .where(label_standing.c.item == label_item.c.id)
        .where(label_standing.c.role == ADJUDICATOR)
        .correlate(label_item)
        .exists()
    )
    return (
        select(label_item.c.id)
        .select_from(joined)
        .where(label_item.c.batch == batch, label_vote.c.label.is_not(None), ~settled)
        .group_by(label_item.c.id)
        .having(func.count(label_vote.c.label.distinct()) > 1)
        .order_by(label_item.c.id)
    )


def _require_adjudicator(connection: Connection, rater: str) -> None:
    query = select(label_rater.c.adjudicates).where(label_rater.c.name == rater)
    if not connection.scalar(query):
        raise Refused(
            f"'{rater}' may not settle ties.",
            remedy="Have somebody do it who may: `headrace label raters add NAME --adjudicates`.",
            reason="not_adjudicator",
        )


def _unknown(item: int) -> Refused:
    return Refused(
        f"There is no item {item} that raters have answered.",
        remedy="Settle an item that raters differ about.",
        reason="item_unknown",
        item=item,
    )
