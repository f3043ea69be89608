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
from datetime import datetime
from http.client import HTTPException
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from headrace.errors import HeadraceError, ServiceError
from serving._client_answers import (
    Decision,
    DecisionRefused,
    NotYet,
    Recorded,
    decision_of,
    read_answer,
    recorded_of,
)
from serving._client_bodies import Outcome, encoded, pieces, require_finite, written
from serving._lane_connection import LaneConnections

if TYPE_CHECKING:
    from serving.endpoints import Endpoints

T = TypeVar("T")

__all__ = ["Client", "Decision", "DecisionRefused", "Outcome", "Recorded"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds


class Client:
    """This asks one endpoint, from any number of threads; best used in a `with` block.

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
        require_finite(entity)
        request: dict[str, Any] = {
            "id": uuid.uuid4().hex if id is None else id,
            "entity": dict(entity),
        }
        if features is not None:
            require_finite(features)
            request["features"] = dict(features)
        if at is not None:
            request["at"] = written(at)
        return self._ask("POST", "/decide", encoded(request), decision_of)

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
        for body in pieces(outcomes):
            piece = self._ask("POST", "/outcomes", body, recorded_of)
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
                return read_answer(status, answer, read)
            except (OSError, HTTPException) as error:
                trouble: HeadraceError = self._unreachable(error)
            except NotYet as error:
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
            raise NotYet(
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
