"""This module speaks HTTP for a lane: raw ASGI, because a framework costs more than the answer.

What answers at which path is in the modules `*_paths`; here a request finds its way to them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._request_errors import RequestError
from serving._requests import RequestReader
from serving.lane.about_paths import about_paths
from serving.lane.decide_paths import decide_paths
from serving.lane.deciding import Decider
from serving.lane.exchange import Answer, Asked, Path, Receive, Send, send_answer
from serving.lane.gate import Gate
from serving.lane.meters import Meters
from serving.lane.outcome_paths import outcome_paths


class LaneApp:
    """This is the ASGI application of one lane.

    Args:
        endpoint: Name of the endpoint.
        log: Its decision log.
        gate: Who may ask; everybody by default.
    """

    def __init__(self, endpoint: str, log: DecisionLog, gate: Gate | None = None) -> None:
        self.endpoint = endpoint
        self.log = log
        self.meters = Meters(endpoint)
        self._gate = gate or Gate()
        self._decider: Decider | None = None
        self._reader: RequestReader | None = None
        self._paths: dict[str, Path] = {
            **decide_paths(self),
            **outcome_paths(self),
            **about_paths(self),
        }

    def answer_with(self, decider: Decider) -> None:
        """Answer with another table from the next request on; those begun end with theirs."""
        table = decider.table
        self._reader = RequestReader(
            endpoint=table.endpoint,
            inputs=decider.inputs,
            lookups=decider.lookups,
            clock=table.clock,
        )
        self._decider = decider

    def ready(self) -> tuple[Decider, RequestReader]:
        """Return what answers now, and what reads its requests.

        Raises:
            RequestError: There is no table yet.
        """
        if self._decider is None or self._reader is None:
            raise RequestError.starting(self.endpoint)
        return self._decider, self._reader

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(Asked(scope, receive))
        except RequestError as error:
            answer = self._refusal(error)
        except HeadraceError as error:  # only the log can fail in a way that no request explains
            answer = self._refusal(RequestError.log_unreadable(error))
        await send_answer(send, answer)

    async def _answer(self, asked: Asked) -> Answer:
        path = self._paths.get(asked.path)
        if path is None:
            raise self._no_such_path(asked.path)
        if asked.method != path.method:
            raise RequestError.method_not_allowed(asked.method, path.method, asked.path)
        self._gate.admit(asked, path.verb)
        return await path.handle(asked)

    def _refusal(self, error: RequestError) -> Answer:
        self.meters.refused(error.code)
        later = ((b"retry-after", b"1"),) if error.status == 503 else ()
        return Answer(error.to_json(), error.status, headers=later)

    def _no_such_path(self, path: str) -> RequestError:
        parts = path.split("/")
        if len(parts) > 2 and parts[1] == "v1" and parts[2] != self.endpoint:
            return RequestError.unknown_endpoint(parts[2], [self.endpoint])
        return RequestError.unknown_path(path, [p for p in self._paths if p != "/healthz"])
