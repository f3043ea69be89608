"""This module speaks HTTP for a lane: raw ASGI, because a framework costs more than the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from typing import Any

import orjson

from headrace.clock import current_clock, from_us
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._openapi import openapi_document
from serving._request_errors import RequestError
from serving._requests import MOST_BYTES, MOST_OUTCOME_BYTES, OutcomeRequest, RequestReader
from serving.lane.deciding import Decider

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")


class LaneApp:
    """This is the ASGI application of one lane.

    Args:
        endpoint: Name of the endpoint.
        log: Its decision log.
    """

    def __init__(self, endpoint: str, log: DecisionLog) -> None:
        self.endpoint = endpoint
        self._log = log
        self._decider: Decider | None = None
        self._reader: RequestReader | None = None
        self._decide_path = f"/v1/{endpoint}/decide"
        self._outcomes_path = f"/v1/{endpoint}/outcomes"
        self._about_path = f"/v1/{endpoint}"

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

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            document = await self._answer(scope, receive)
        except RequestError as error:
            await _send(send, error.status, error.to_json())
        except HeadraceError as error:  # only the log can fail in a way that no request explains
            unreadable = RequestError.log_unreadable(error)
            await _send(send, unreadable.status, unreadable.to_json())
        else:
            await _send(send, 200, orjson.dumps(document))

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> dict[str, Any]:
        path, method = scope["path"], scope["method"]
        if path == self._decide_path:
            _require(method, "POST", path)
            decider, reader = self._ready()
            body = await _body(scope, receive, MOST_BYTES)
            return await decider.decide(reader.decision(body))
        if path == self._outcomes_path:
            _require(method, "POST", path)
            decider, reader = self._ready()
            body = await _body(scope, receive, MOST_OUTCOME_BYTES)
            return self._record(reader.outcomes(body), decider)
        if path in (self._about_path, "/openapi.json", "/healthz"):
            _require(method, "GET", path)
            return self._page(path)
        parts = path.split("/")
        if len(parts) > 2 and parts[1] == "v1" and parts[2] != self.endpoint:
            raise RequestError.unknown_endpoint(parts[2], [self.endpoint])
        raise RequestError.unknown_path(
            path, [self._decide_path, self._outcomes_path, self._about_path, "/openapi.json"]
        )

    def _ready(self) -> tuple[Decider, RequestReader]:
        if self._decider is None or self._reader is None:
            raise RequestError.starting(self.endpoint)
        return self._decider, self._reader

    def _page(self, path: str) -> dict[str, Any]:
        decider, _ = self._ready()
        table, champion = decider.table, decider.champion
        if path == "/healthz":
            return {"status": "ok"}
        if path == "/openapi.json":
            return openapi_document(
                endpoint=table.endpoint,
                inputs=decider.inputs,
                lookups=decider.lookups,
                task=champion.scorer.card.task,
                clock=table.clock,
                model=champion.ref,
            )
        return {
            "endpoint": table.endpoint,
            "generation": table.generation,
            "model": champion.ref,
            "runtime": champion.scorer.runtime,
            "challenger": None if table.challenger is None else table.challenger.ref,
            "experiment": table.experiment,
            "clock": table.clock,
            "inputs": [
                {"name": each.name, "dtype": each.dtype, "source": each.source}
                for each in decider.inputs
            ],
            **({"on_demand": decider.computed()} if decider.computed() else {}),
            "log": asdict(self._log.stats()),
        }

    def _record(self, outcomes: list[OutcomeRequest], decider: Decider) -> dict[str, Any]:
        """Log outcomes, all or none of them."""
        now = current_clock().now_us()
        records: dict[str, dict[str, Any]] = {}
        repeated = 0
        for outcome in outcomes:
            decision = self._log.decision(outcome.id)
            if decision is None:
                raise RequestError.unknown_decision(outcome.id)
            has = self._log.outcome(outcome.id) or records.get(outcome.id)
            if has is not None:
                if has["value"] != outcome.value:
                    raise RequestError.outcome_conflict(outcome.id, has["value"], outcome.value)
                repeated += 1
                continue
            known = now if outcome.known_us is None else outcome.known_us
            if known < decision["at"]:
                raise RequestError.outcome_before_decision(
                    outcome.id, from_us(known), from_us(decision["at"])
                )
            records[outcome.id] = {
                "kind": "outcome",
                "id": outcome.id,
                "known_at": known,
                "logged": now,
                "value": outcome.value,
            }
        if records:
            try:
                self._log.append(list(records.values()))
            except HeadraceError as error:
                raise RequestError.log_unwritable(error) from error
        return {"recorded": len(records), "repeated": repeated}


def _require(method: str, wanted: str, path: str) -> None:
    if method != wanted:
        raise RequestError.method_not_allowed(method, wanted, path)


async def _body(scope: MutableMapping[str, Any], receive: Receive, most: int) -> bytes:
    """Return the body of a request, refusing one that is too large before it is read whole."""
    for name, value in scope["headers"]:
        if name == b"content-type" and b"json" not in value:
            raise RequestError.unsupported_media_type(value.decode("latin-1"))
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise RequestError.too_large(len(body), most)
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise RequestError.too_large(size, most)
    return b"".join(parts)


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
