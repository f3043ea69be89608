"""This module holds what the client gets back: decisions, counts of outcomes, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from headrace.errors import HeadraceError, ServiceError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """This is what an endpoint decided.

    Args:
        id: What the decision is called; its outcome is told under it.
        endpoint: Name of the endpoint.
        model: The version that answered, "name/3".
        answer: {"probability": p} or {"estimate": v}.
        at: The moment of the decision.
        repeated: Whether it had been made before, and this is the logged answer.
        missing: Views that had nothing for the entity; their features were null.
    """

    id: str
    endpoint: str
    model: str
    answer: Mapping[str, float]
    at: datetime
    repeated: bool
    missing: tuple[str, ...]

    @property
    def value(self) -> float:
        """The figure that was answered, whether a probability or an estimate."""
        return next(iter(self.answer.values()))


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """This says how many outcomes were new, and how many had been recorded before."""

    recorded: int
    repeated: int


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
    )


def recorded_of(document: Mapping[str, Any]) -> Recorded:
    """Return what a lane answered to `outcomes`."""
    return Recorded(recorded=document["recorded"], repeated=document["repeated"])


def read_answer(status: int, answer: bytes, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what `read` makes of a lane's answer.

    Raises:
        DecisionRefused: The lane refused the request.
        NotYet: The lane is starting.
        ServiceError: The lane could not answer, or what answered isn't a lane.
    """
    try:
        document = orjson.loads(answer)
        if status == 200:
            return read(document)
        error = document["error"]
        problem, remedy, code = error["message"], error["remedy"], error["code"]
    except (ValueError, KeyError, TypeError):
        raise ServiceError(
            f"What answered with status {status} is not a lane: {answer[:60]!r}.",
            remedy="give the address that `headrace endpoint show` prints.",
        ) from None
    if status < 500:
        raise DecisionRefused(status, error)
    raise (NotYet if code == "starting" else ServiceError)(problem, remedy=remedy)
