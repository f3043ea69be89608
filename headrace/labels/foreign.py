"""This module takes over what people answered in another back-end; it is asked again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, select

from headrace.errors import DataError, ParameterError
from headrace.labels.batches import batch_with, locked
from headrace.labels.counting import RATER, count, fall, stand, standing_vote, write_vote
from headrace.labels.items import Batch, Source
from headrace.labels.refusals import batch_closed
from headrace.labels.tables import label_item
from headrace.labels.task import LabelTask
from headrace.labels.terms import TermsOfBatches, require_text
from headrace.labels.texts import reason_of
from headrace.labels.voting import milliseconds, vote_of_request

_Outcome = Literal["recorded", "superseded", "withdrawn", "repeated", "over"]


@dataclass(frozen=True, kw_only=True)
class ForeignVote:
    """This is what another back-end says a rater's answer to an item is now.

    Attributes:
        item: The item's number here.
        rater: Who answered, as the other back-end knows them.
        label: The answer; None for none.
        skipped: Why it was skipped; with no answer and no reason, an answer was taken back.
        seconds: How long it took, in seconds; None where nobody measured it.
        at: When it was given there, aware.
        suggestion_shown: Whether the rater saw what was suggested.
        request: Names this very version of the answer; the same is taken once.
    """

    item: int
    rater: str
    label: Any
    skipped: str | None
    seconds: float | None
    at: datetime
    suggestion_shown: bool
    request: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """This says what was new in what another back-end said.

    Attributes:
        recorded: Votes and skips that were taken for the first time.
        superseded: Of raters who had answered otherwise: the earlier answer stands no longer.
        withdrawn: Answers that were taken back.
        repeated: What was known, or changed nothing: nothing was written.
        over: Votes beyond those that the item wants: not written.
        batch: The batch as it stands after.
    """

    recorded: int
    superseded: int
    withdrawn: int
    repeated: int
    over: tuple[ForeignVote, ...]
    batch: Batch


def record(
    connection: Connection,
    terms_of: TermsOfBatches,
    batch: str,
    votes: Sequence[ForeignVote],
    *,
    source: Source,
) -> Recorded:
    """Take over what people answered elsewhere, in order: all of it or, refused, nothing.

    Raises:
        UnknownNameError: There is no such batch.
        ParameterError: It is answered on our own page, or not by people.
        DataError: An item is not of the batch, or an answer is none to its schema.
        Refused: The batch was closed.
    """
    row = locked(connection, batch)
    if row.backend == "local" or source != "person":
        raise ParameterError(
            f"Batch '{batch}' has the back-end '{row.backend}', where nobody else votes as a "
            f"{source}.",
            remedy="Record votes of people, of a batch that was asked for elsewhere.",
        )
    if row.status == "closed":
        raise batch_closed(row.id, row.why, row.ended_at)
    terms = terms_of.of(connection, batch)
    outcomes: list[tuple[_Outcome, ForeignVote]] = []
    for vote in votes:
        outcomes.append((_take(connection, terms, batch, vote), vote))
    said = [outcome for outcome, _ in outcomes]
    return Recorded(
        recorded=said.count("recorded"),
        superseded=said.count("superseded"),
        withdrawn=said.count("withdrawn"),
        repeated=said.count("repeated"),
        over=tuple(vote for outcome, vote in outcomes if outcome == "over"),
        batch=batch_with(connection, batch),
    )


def _take(
    connection: Connection,
    terms: LabelTask,
    batch_id: str,
    vote: ForeignVote,
) -> _Outcome:
    require_text("request", vote.request)
    require_text("rater", vote.rater)
    query = select(label_item).where(label_item.c.id == vote.item, label_item.c.batch == batch_id)
    item = connection.execute(query).one_or_none()
    if item is None:
        raise DataError(
            f"Batch '{batch_id}' has no item {vote.item}, which '{vote.rater}' is said to have "
            "answered.",
            remedy="Record votes on items of this batch; none of these votes was recorded.",
        )
    label = None if vote.label is None else terms.labels.read(vote.label)
    vote = replace(vote, label=label, skipped=_reason(vote) if label is None else None)
    earlier = standing_vote(connection, item.id, vote.rater)
    if vote_of_request(connection, vote.request) is not None:
        return "repeated"
    withdrawn = label is None and vote.skipped is None
    stands = (None, None) if earlier is None else (earlier.label, earlier.skipped)
    if stands == (label, vote.skipped):
        return "repeated"
    had_vote = earlier is not None and earlier.label is not None
    if label is not None and not had_vote and item.votes >= item.overlap:
        return "over"
    _write(connection, terms, item, vote, earlier)
    if withdrawn:
        return "withdrawn"
    return "recorded" if earlier is None else "superseded"


def _write(
    connection: Connection,
    terms: LabelTask,
    item: Row[Any],
    vote: ForeignVote,
    earlier: Row[Any] | None,
) -> None:
    batch = locked(connection, item.batch)
    sort = "vote" if vote.label is not None else "undo" if vote.skipped is None else "skip"
    number = write_vote(
        connection,
        batch,
        {
            "item": item.id,
            "rater": vote.rater,
            "source": "person",
            "sort": sort,
            "label": vote.label,
            "skipped": vote.skipped,
            "supersedes": None if earlier is None else earlier.number,
            "ms": _milliseconds(vote.seconds),
            "at": vote.at,
            "suggestion_shown": vote.suggestion_shown,
            "request": vote.request,
        },
    )
    if earlier is not None:
        fall(connection, item.id, vote.rater)
    if sort != "undo":
        stand(connection, item.id, vote.rater, RATER, number)
    fallen = None if earlier is None else earlier.sort
    votes = (sort == "vote") - (fallen == "vote")
    skips = (sort == "skip") - (fallen == "skip")
    count(connection, batch, item, terms, vote.rater, votes=votes, skips=skips)


def _milliseconds(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not math.isfinite(seconds):
        raise ParameterError(
            f"An answer cannot have taken {seconds} seconds.",
            remedy="Give a number from 0, or None where nobody measured it.",
        )
    return milliseconds(round(seconds * 1000))


def _reason(vote: ForeignVote) -> str | None:
    return None if vote.skipped is None else reason_of(vote.skipped)
