"""This module asks an endpoint from Python: decide, tell outcomes, see what answers.

    with Client("flight_delay") as client:
        decision = client.decide(entity={"tail": "N14228"}, features={"distance": 719})
        client.outcome(decision.id, 1.0)

A request that meets a lane which restarts is sent again. That is safe: every decision has an id,
and the same id again gets the logged answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from math import isinf
from numbers import Real
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import orjson

from headrace.errors import HeadraceError, ParameterError, ServiceError
from serving._lane_connection import LaneConnections

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

T = TypeVar("T")

__all__ = ["Client", "Decision", "DecisionRefused", "Outcome", "Recorded"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds
_PIECE_BYTES = 1 << 18  # of outcomes in one request; a lane reads four times as much
_NEVER_INFINITE = (str, int, bool, type(None))


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
class Outcome:
    """This is what happened after a decision.

    Args:
        id: Of the decision.
        value: What happened, 1 or 0 where it is a class; None where it will never be known.
        known_at: When it was known, aware; None for now.
    """

    id: str
    value: float | None
    known_at: datetime | None = None


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


class Client:
    """This asks one endpoint, from any number of threads; close it, or use it in a `with` block.

    Args:
        endpoint: Name of the endpoint.
        url: Where its lane answers, `http://HOST:PORT`; by default the database is asked, and
            asked again when the lane has moved.
        patience_seconds: For how long a request is sent again while no lane answers.
        timeout_seconds: How long one answer may take.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        patience_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
    ) -> None:
        self.endpoint = endpoint
        self._url = url
        self._patience = patience_seconds
        self._path = f"/v1/{quote(endpoint, safe='')}"
        self._endpoints: Endpoints | None = None
        self._lane = LaneConnections(self._address, timeout_seconds=timeout_seconds)

    def decide(
        self,
        *,
        entity: Mapping[str, Any],
        features: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002  what the request calls it
        at: datetime | str | None = None,
    ) -> Decision:
        """Return the endpoint's decision about an entity.

        Args:
            entity: Key columns of the feature views, None where there is no key, and at most
                eight other columns that identify the row for people.
            features: The inputs that are values of the request, and those that override what the
                views say. None and NaN are null.
            id: What to call the decision; made up by default.
            at: The moment of the decision, aware; only for an endpoint that a replay feeds.

        Raises:
            DecisionRefused: The request is wrong; the error names the field.
            ParameterError: A value cannot be sent as JSON.
            ServiceError: No lane answers, or it could not decide.
        """
        _require_finite(entity)
        request: dict[str, Any] = {
            "id": uuid.uuid4().hex if id is None else id,
            "entity": dict(entity),
        }
        if features is not None:
            _require_finite(features)
            request["features"] = dict(features)
        if at is not None:
            request["at"] = _written(at)
        return self._ask("POST", "/decide", _encoded(request), _decision)

    def outcome(
        self,
        id: str,  # noqa: A002  what the request calls it
        value: float | None,
        known_at: datetime | None = None,
    ) -> Recorded:
        """Tell the outcome of one decision; see `Outcome` and `outcomes`."""
        return self.outcomes([Outcome(id=id, value=value, known_at=known_at)])

    def outcomes(self, outcomes: Iterable[Outcome]) -> Recorded:
        """Tell the outcomes of decisions; one that was told before with the same value is fine.

        Many are sent in several requests. The lane records a request whole or not at all, so when
        this fails, tell all of them again.

        Raises:
            DecisionRefused: A decision is unknown, or its outcome has another value already.
            ParameterError: A value is infinite.
            ServiceError: No lane answers, or it could not record them.
        """
        recorded = repeated = 0
        for body in _pieces(outcomes):
            piece = self._ask("POST", "/outcomes", body, _recorded)
            recorded += piece.recorded
            repeated += piece.repeated
        return Recorded(recorded=recorded, repeated=repeated)

    def about(self) -> dict[str, Any]:
        """Return what answers now, and what it is asked with, as the lane says it.

        Raises:
            DecisionRefused: The lane at the given address is another endpoint's.
            ServiceError: No lane answers.
        """
        return self._ask("GET", "", None, dict)

    def close(self) -> None:
        """Close the connections; the next request would open them again."""
        self._lane.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self, method: str, path: str, body: bytes | None, read: Callable[[dict[str, Any]], T]
    ) -> T:
        """Send a request until a lane answers it or patience ends; return what `read` makes."""
        # the machine's seconds: the clock of a replay stands still meanwhile
        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                status, answer = self._lane.send(method, self._path + path, body)
                return _read(status, answer, read)
            except (OSError, HTTPException) as error:
                trouble: HeadraceError = self._unreachable(error)
            except _NotYet as error:
                trouble = error
            self._lane.forget()
            if time.monotonic() + pause > until:
                raise trouble
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _address(self) -> str:
        if self._url is not None:
            return self._url
        if self._endpoints is None:
            from serving.endpoints import Endpoints

            self._endpoints = Endpoints()
        lane = self._endpoints.lane(self.endpoint)
        if lane is None or lane.url is None:
            said = f" {lane.message}" if lane and lane.message else ""
            raise _NotYet(
                f"No lane of endpoint '{self.endpoint}' has an address yet.{said}",
                remedy=self._remedy,
            )
        return lane.url

    def _unreachable(self, error: Exception) -> ServiceError:
        return ServiceError(
            f"No lane of endpoint '{self.endpoint}' answers at {self._lane.url}: "
            f"{str(error) or type(error).__name__}.",
            remedy=self._remedy,
        )

    @property
    def _remedy(self) -> str:
        return f"run `headrace up`, and see `headrace endpoint show {self.endpoint}`."


class _NotYet(ServiceError):
    """This lane is starting: the same request is worth sending again soon."""


def _decision(document: Mapping[str, Any]) -> Decision:
    return Decision(
        id=document["id"],
        endpoint=document["endpoint"],
        model=document["model"],
        answer=document["answer"],
        at=datetime.fromisoformat(document["at"]),
        repeated=document["repeated"],
        missing=tuple(document["missing"]),
    )


def _recorded(document: Mapping[str, Any]) -> Recorded:
    return Recorded(recorded=document["recorded"], repeated=document["repeated"])


def _read(status: int, answer: bytes, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what a lane answered, or raise what it refused with."""
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
    raise (_NotYet if code == "starting" else ServiceError)(problem, remedy=remedy)


def _pieces(outcomes: Iterable[Outcome]) -> Iterable[bytes]:
    """Yield bodies that a lane reads, each with as many outcomes as fit."""
    parts: list[bytes] = []
    size = 0
    for outcome in outcomes:
        _require_finite({"value": outcome.value})
        entry: dict[str, Any] = {"id": outcome.id, "value": outcome.value}
        if outcome.known_at is not None:
            entry["known_at"] = _written(outcome.known_at)
        part = _encoded(entry)
        if parts and size + len(part) > _PIECE_BYTES:
            yield b'{"outcomes":[%s]}' % b",".join(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b'{"outcomes":[%s]}' % b",".join(parts)


def _written(moment: datetime | str) -> str:
    return moment if isinstance(moment, str) else moment.isoformat()


def _require_finite(values: Mapping[str, Any]) -> None:
    """Refuse infinity, which would be written as null."""
    for name, value in values.items():
        if type(value) not in _NEVER_INFINITE and isinstance(value, Real) and isinf(value):
            raise ParameterError(
                f"The value of '{name}' is {value}, and JSON has no infinity.",
                remedy="give a number, or None where it isn't known.",
            )


def _encoded(document: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise ParameterError(
            f"The request cannot be written as JSON: {error}.",
            remedy="give texts, numbers, true, false or None.",
        ) from None
