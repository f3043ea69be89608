"""This module holds what the client gets back: decisions, counts of outcomes, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from headrace.errors import HeadraceError, ServiceError
from serving._request_errors import STATUS

T = TypeVar("T")

_OF_PROXIES = (502, 503, 504)  # what somebody's proxy says in its own words
_WORTH_ANOTHER = ("starting", "draining", "broken_off", "no_answer", "front_failed")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """This is what an endpoint decided.

    Args:
        id: What the decision is called; its outcome is told under it.
        endpoint: Name of the endpoint.
        model: The version that answered, "name/3".
        answer: {"probability": p} or {"estimate": v}, and the outputs that were asked for.
        at: The moment of the decision.
        repeated: Whether it had been made before, and this is the logged answer.
        missing: Views that had nothing for the entity; their features were null.
        explanation: What each input contributed, where that was asked for; else None.
    """

    id: str
    endpoint: str
    model: str
    answer: Mapping[str, Any]
    at: datetime
    repeated: bool
    missing: tuple[str, ...]
    explanation: Mapping[str, Any] | None = None

    @property
    def value(self) -> float:
        """The figure that was answered, whether a probability or an estimate."""
        figure: float = next(iter(self.answer.values()))
        return figure


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """This is one item of a list, where it stands; its outcome is told under its id.

    Args:
        id: What the item's decision is called.
        place: Where it stood in what was asked, from 0.
        rank: Where it stands, from 1.
        answer: As of a decision.
        missing: As of a decision.
    """

    id: str
    place: int
    rank: int
    answer: Mapping[str, Any]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """This is a list as an endpoint ranked it, the best first.

    Args:
        id: What the list is called.
        endpoint: Name of the endpoint.
        model: The version that ranked all of it, "name/3".
        items: The best of them.
        at: The moment of the decision.
        repeated: Whether it had been ranked before, and this is the logged answer.
    """

    id: str
    endpoint: str
    model: str
    items: tuple[Ranked, ...]
    at: datetime
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """This says what became of outcomes that were told.

    Args:
        recorded: How many were new.
        repeated: How many had been told before, with the same value.
        corrected: How many took the place of what was told before.
        late: Of the new ones and the corrections, how many came after their window.
    """

    recorded: int
    repeated: int
    corrected: int = 0
    late: int = 0


class DecisionRefused(HeadraceError):
    """This request was refused as wrong; sent again, it would be refused again.

    Args:
        status: HTTP status, 400 to 499.
        error: What the lane said: code, field, expected, got, message, remedy.
    """

    fault = "data"

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"], remedy=error["remedy"])
        self.status = status
        self.code: str = error["code"]
        self.field: str | None = error.get("field")
        self.expected: str | None = error.get("expected")
        self.got: str | None = error.get("got")


class NotYet(ServiceError):
    """This lane is starting: the same request is worth sending again soon."""


def decision_of(document: Mapping[str, Any]) -> Decision:
    """Return what a lane answered to `decide`."""
    return Decision(
        id=document["id"],
        endpoint=document["endpoint"],
        model=document["model"],
        answer=document["answer"],
        at=datetime.fromisoformat(document["at"]),
        repeated=document["repeated"],
        missing=tuple(document["missing"]),
        explanation=document.get("explanation"),
    )


def decisions_of(document: Mapping[str, Any]) -> list[Decision | DecisionRefused]:
    """Return what a lane answered to many decisions, each what it was or why it was not."""
    return [
        DecisionRefused(STATUS.get(each["error"]["code"], 422), each["error"])
        if "error" in each
        else decision_of(each)
        for each in document["decisions"]
    ]


def ranking_of(document: Mapping[str, Any]) -> Ranking:
    """Return what a lane answered to `rank`."""
    return Ranking(
        id=document["id"],
        endpoint=document["endpoint"],
        model=document["model"],
        items=tuple(
            Ranked(
                id=each["id"],
                place=each["place"],
                rank=each["rank"],
                answer=each["answer"],
                missing=tuple(each.get("missing", ())),
            )
            for each in document["items"]
        ),
        at=datetime.fromisoformat(document["at"]),
        repeated=document["repeated"],
    )


def recorded_of(document: Mapping[str, Any]) -> Recorded:
    """Return what a lane answered to `outcomes`."""
    return Recorded(
        recorded=document["recorded"],
        repeated=document["repeated"],
        corrected=document.get("corrected", 0),
        late=document.get("late", 0),
    )


def read_answer(status: int, answer: bytes, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what `read` makes of a lane's answer.

    Raises:
        DecisionRefused: The lane refused the request.
        NotYet: The lane is starting, or ended before it answered.
        ServiceError: The lane could not answer, or what answered isn't a lane.
    """
    try:
        document = orjson.loads(answer)
        if status == 200:
            return read(document)
        error = document["error"]
        problem, remedy, code = error["message"], error["remedy"], error["code"]
    except (ValueError, KeyError, TypeError):
        kind = NotYet if status in _OF_PROXIES else ServiceError
        raise kind(
            f"What answered with status {status} is not a lane: {answer[:60]!r}.",
            remedy="give the address that `headrace endpoint show` prints.",
        ) from None
    if status < 500:
        raise DecisionRefused(status, error)
    raise (NotYet if code in _WORTH_ANOTHER else ServiceError)(problem, remedy=remedy)


def read_refusal(status: int, answer: bytes) -> None:
    """Raise what a lane said that did not answer with 200.

    Raises:
        DecisionRefused: As `read_answer`.
        ServiceError: As `read_answer`.
    """
    if status != 200:
        read_answer(status, answer, dict)
