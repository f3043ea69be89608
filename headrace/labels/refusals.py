"""This module holds the refusals of the queue: what was not taken, why, and what to do instead."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from headrace.errors import DataError

Reason = Literal[
    "lease_unknown",
    "lease_expired",
    "other_rater",
    "batch_closed",
    "already_voted",
    "item_full",
    "item_unknown",
    "not_given",
    "not_rater",
    "not_adjudicator",
    "nothing_to_undo",
    "request_reused",
    "wrong",
    "revoked",
    "in_use",
]
"""Why something was refused, for programs; the last three are about signing in."""


class Refused(DataError):
    """This was refused as a whole: nothing of it was kept, and nothing that was kept is lost.

    Args:
        reason: Why, for programs.
        item: The item that it was about, where that is known.
    """

    def __init__(
        self, problem: str, *, remedy: str, reason: Reason, item: int | None = None
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.reason = reason
        self.item = item


def shown_time(moment: datetime) -> str:
    """Return a moment as refusals say it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def no_such_lease(lease: str) -> Refused:
    """Return the refusal of a lease that was never given, or has been given anew since."""
    return Refused(
        f"No item is held by the lease '{lease[:40]}'.",
        remedy="Ask for the next item; the answer was not counted.",
        reason="lease_unknown",
    )


def lease_of_another(item: int, rater: str) -> Refused:
    """Return the refusal of somebody who answers what another rater was given."""
    return Refused(
        f"Item {item} was given to another rater, not to '{rater}'.",
        remedy="Ask for an item of your own; the answer was not counted.",
        reason="other_rater",
        item=item,
    )


def lease_expired(item: int, at: datetime, *, taken: bool) -> Refused:
    """Return the refusal of an answer that comes when the item may be somebody else's."""
    what = "its place is taken" if taken else "it was free for others"
    remedy = (
        "Ask for the next item; the answer was not counted."
        if taken
        else f"Ask for item {item} again, then answer; the answer was not counted."
    )
    return Refused(
        f"Item {item} was kept for this rater until {shown_time(at)}; since then {what}.",
        remedy=remedy,
        reason="lease_expired",
        item=item,
    )


def already_voted(item: int, rater: str) -> Refused:
    """Return the refusal of a second answer of the same rater."""
    return Refused(
        f"'{rater}' has already answered item {item}.",
        remedy="Undo that answer to give another one.",
        reason="already_voted",
        item=item,
    )


def item_full(item: int, overlap: int) -> Refused:
    """Return the refusal of more answers than were asked for."""
    return Refused(
        f"Item {item} has the answers of {overlap} raters, or they are at it: no more are wanted.",
        remedy="Ask for the next item.",
        reason="item_full",
        item=item,
    )


def item_not_given(item: int, rater: str) -> Refused:
    """Return the refusal of an item that a rater would choose themselves."""
    return Refused(
        f"Item {item} was not given to '{rater}'; items are answered as they are given out.",
        remedy="Go on with the next item. Raters who settle ties may open any.",
        reason="not_given",
        item=item,
    )


def batch_closed(batch: str, why: str, at: datetime | None, item: int | None = None) -> Refused:
    """Return the refusal of whatever would change a batch that was ended."""
    since = f" at {shown_time(at)}" if at is not None else ""
    return Refused(
        f"Batch '{batch}' was closed{since}: {why}.",
        remedy="Ask for the next item; answers to this batch are not counted any more.",
        reason="batch_closed",
        item=item,
    )


def request_reused(request: str) -> Refused:
    """Return the refusal of a request id that stands for something else already."""
    return Refused(
        f"The request '{request[:60]}' has been used before, for something else.",
        remedy="Send each answer with a request id of its own, and the same one only to repeat it.",
        reason="request_reused",
    )
