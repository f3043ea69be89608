"""This module takes votes and skips: each once, from who was given the item, while it is theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from headrace.clock import current_clock
from headrace.errors import DataError, ParameterError
from headrace.labels.batches import locked, require_not_ended
from headrace.labels.counting import RATER, count, stand, write_vote
from headrace.labels.items import BatchStatus, Receipt, Source
from headrace.labels.leases import batch_of_lease, held, others_at, release
from headrace.labels.refusals import (
    already_voted,
    item_full,
    lease_expired,
    lease_of_another,
    no_such_lease,
    request_reused,
)
from headrace.labels.tables import label_batch, label_vote
from headrace.labels.terms import TermsOfBatches, require_allowed, require_rater, require_text
from headrace.labels.texts import clean, is_whole, reason_of, shown

_MOST_MS = 2**31 - 1
_OF_REQUEST = select(label_vote).where(label_vote.c.request == bindparam("of_request"))


@dataclass(frozen=True, kw_only=True)
class Given:
    """This is what a rater says of the item that they hold.

    Attributes:
        lease: Of the claim.
        rater: Who says it.
        request: An id of this answer; sent again, it is the same one.
        answer: The answer; None for a skip.
        why: Why there is none; None for an answer.
        ms: How long it took, in milliseconds; None where nobody measured it.
        source: What the rater is.
    """

    lease: str
    rater: str
    request: str
    answer: Any = None
    why: str | None = None
    ms: int | None = None
    source: Source = "person"

    @property
    def sort(self) -> str:
        """Whether it is a vote or a skip."""
        return "vote" if self.why is None else "skip"


def take(connection: Connection, terms_of: TermsOfBatches, given: Given) -> Receipt:
    """Take a vote or a skip; the same request again is the same one.

    Raises:
        DataError: The answer is none to the schema, or a skip has no reason.
        Refused: The lease is not this rater's or not live, or the batch was ended.
        ParameterError: The request, the source or the time taken cannot be.
    """
    require_text("request", given.request)
    require_source(given.source)
    if not is_whole(given.lease):
        raise no_such_lease(clean(given.lease))
    batch_id = batch_of_lease(connection, given.lease)
    if batch_id is None:  # given already, or given to somebody else since, or never
        repeated = _repeated(connection, terms_of, given)
        if repeated is not None:
            return repeated
        raise _gone(connection, given.lease, given.rater)
    batch = locked(connection, batch_id)
    repeated = _repeated(connection, terms_of, given)
    if repeated is not None:
        return repeated
    item = held(connection, given.lease)
    if item is None:
        raise _gone(connection, given.lease, given.rater)
    terms = terms_of.of(connection, batch_id)
    require_rater(connection, given.rater)
    require_allowed(terms, given.rater)
    _require_live(connection, batch, item, given)
    skipped = None if given.why is None else reason(given.why)
    label = terms.labels.read(given.answer) if given.why is None else None
    now = current_clock().now()
    values = {
        "item": item.id,
        "rater": given.rater,
        "source": given.source,
        "sort": given.sort,
        "label": label,
        "skipped": skipped,
        "supersedes": item.corrects,
        "ms": milliseconds(given.ms),
        "at": now,
        "suggestion_shown": item.suggestion_shown,
        "lease": given.lease,
        "request": given.request,
    }
    number = write_vote(connection, batch, values)
    stand(connection, item.id, given.rater, RATER, number)
    release(connection, item.id, given.rater)
    of = {"votes": 1} if given.sort == "vote" else {"skips": 1}
    status = count(connection, batch, item, terms, given.rater, **of)
    return Receipt(number=number, item=item.id, label=label, at=now, batch_status=status)


def vote_of_request(connection: Connection, request: str) -> Row[Any] | None:
    """Return what was taken by a request."""
    return connection.execute(_OF_REQUEST, {"of_request": request}).one_or_none()


def receipt_of(connection: Connection, vote: Row[Any]) -> Receipt:
    """Return the receipt of a vote that was taken before."""
    status: BatchStatus = connection.execute(
        select(label_batch.c.status).where(label_batch.c.id == vote.batch)
    ).scalar_one()
    return Receipt(
        number=vote.number, item=vote.item, label=vote.label, at=vote.at, batch_status=status
    )


def require_source(source: str) -> None:
    """Refuse votes of who settles ties, which are given otherwise, and of nobody known.

    Raises:
        ParameterError: It is neither of people nor of rules or models.
    """
    if source not in ("person", "rule", "model"):
        raise ParameterError(
            f"A vote cannot be from a source {source!r}.",
            remedy="Say 'person', 'rule' or 'model'; ties are settled by `adjudicate`.",
        )


def milliseconds(ms: int | None) -> int | None:
    """Return how long an answer took.

    Raises:
        ParameterError: It is no whole number of milliseconds, or below 0.
    """
    if ms is None:
        return None
    if isinstance(ms, bool) or not isinstance(ms, int) or ms < 0:
        raise ParameterError(
            f"An answer cannot have taken {shown(ms)} milliseconds.",
            remedy="Give a whole number from 0, or None where nobody measured it.",
        )
    return min(ms, _MOST_MS)


def reason(why: str) -> str:
    """Return why an item is skipped.

    Raises:
        DataError: Nothing is said.
    """
    said = reason_of(why)
    if not said:
        raise DataError(
            "An item cannot be skipped without a reason.",
            remedy="Say why, such as 'not readable'; the item is still yours.",
        )
    return said


def _require_live(connection: Connection, batch: Row[Any], item: Row[Any], given: Given) -> None:
    if item.rater != given.rater:
        raise lease_of_another(item.id, given.rater)
    require_not_ended(batch, item.id)
    now = current_clock().now()
    if item.expires_at <= now:
        places = item.overlap - item.votes - others_at(connection, item.id, given.rater, now)
        raise lease_expired(item.id, item.expires_at, taken=places <= 0 or not item.open)
    if item.votes >= item.overlap and given.sort == "vote":
        raise item_full(item.id, item.overlap)


def _repeated(connection: Connection, terms_of: TermsOfBatches, given: Given) -> Receipt | None:
    known = vote_of_request(connection, given.request)
    if known is None:
        return None
    same = (known.sort, known.rater, known.lease) == (given.sort, given.rater, given.lease)
    if same and given.sort == "vote":
        schema = terms_of.of(connection, known.batch).labels
        same = known.label == schema.read(given.answer)
    if not same:
        raise request_reused(given.request)
    return receipt_of(connection, known)


def _gone(connection: Connection, lease: str, rater: str) -> DataError:
    mine = (label_vote.c.rater == rater) & (label_vote.c.lease == lease)
    item = connection.scalar(select(label_vote.c.item).where(mine, label_vote.c.sort != "undo"))
    return no_such_lease(lease) if item is None else already_voted(item, rater)
