"""This module answers many decisions that one request asks for: a batch, or a list to rank.

A batch may be JSON, a matrix of 32-bit floats, or a table of Arrow; the header `content-type` says
which, and the header `accept` how the scores of the last two are to be sent back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from uuid import uuid4

import orjson

from serving._batch_errors import ARROW, FLOATS, unknown_parameter, unsupported_batch
from serving._request_errors import RequestError
from serving._requests import MOST_BATCH_BYTES, DecisionRequest
from serving.lane.arrow_tables import ArrowTables
from serving.lane.batch_answers import told
from serving.lane.exchange import Answer, Asked, Path
from serving.lane.matrices import Matrices
from serving.lane.ranking import Rankings

if TYPE_CHECKING:
    from serving.lane.app import LaneApp


def batch_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what answers batches and lists at a lane."""
    matrices, rankings = Matrices(lane), Rankings(lane)
    tables = ArrowTables(lane, matrices)

    async def decide_batch(asked: Asked) -> Answer:
        kind = (asked.header(b"content-type") or b"application/json").decode("latin-1")
        if kind.startswith(FLOATS):
            return await matrices.decided(asked, parameters_of(asked, ("id", "layout", "at")))
        if kind.startswith(ARROW):
            return await tables.decided(asked, parameters_of(asked, ("id", "at")))
        if "json" not in kind:
            raise unsupported_batch(kind)
        return await _documents(lane, asked)

    return {
        f"/v1/{lane.endpoint}/decide-batch": Path("POST", decide_batch, "decide"),
        f"/v1/{lane.endpoint}/rank": Path("POST", rankings.ranked, "decide"),
    }


def parameters_of(asked: Asked, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of a request's address.

    Raises:
        RequestError: There is an unknown one.
    """
    query: bytes = asked.scope.get("query_string", b"")
    found: dict[str, str] = {}
    for part in filter(None, query.split(b"&")):
        name, _, value = part.decode("latin-1").partition("=")
        found[name] = unquote_plus(value) if "%" in value or "+" in value else value
        if name not in known:
            raise unknown_parameter(name, known)
    return found


async def _documents(lane: LaneApp, asked: Asked) -> Answer:
    """Answer a batch of JSON: every item as if it had come alone, all logged at once."""
    body = await asked.json_body(MOST_BATCH_BYTES)
    decider, reader = lane.ready()
    batch = reader.batch(body)
    requests = [each for each in batch.decisions if isinstance(each, DecisionRequest)]
    lane.gate.charge(asked, len(batch.decisions))
    said: Mapping[str, Any] = {"batch": uuid4().hex}
    if asked.client is not None:
        said = {**said, "client": asked.client}
    if requests:
        requests[0].trace = asked.trace
    answered = iter(await decider.decide_all(requests, [said] * len(requests)))
    found = [each if isinstance(each, RequestError) else next(answered) for each in batch.decisions]
    _require_some(found)
    for place, each in enumerate(batch.decisions):
        document = found[place]
        if isinstance(each, DecisionRequest) and each.explain and isinstance(document, dict):
            try:
                (found[place],) = await lane.explainer.explained([document], decider.table)
            except RequestError as error:
                found[place] = error
    return Answer(orjson.dumps({"decisions": [_told(lane, each) for each in found]}))


def _require_some(found: list[dict[str, Any] | RequestError]) -> None:
    """Refuse a batch as a whole where nothing of it could be done now: it is worth a repeat."""
    for each in found:
        if not isinstance(each, RequestError) or each.status != 503:
            return
    if found and isinstance(found[0], RequestError):
        raise found[0]


def _told(lane: LaneApp, each: dict[str, Any] | RequestError) -> dict[str, Any]:
    if not isinstance(each, RequestError):
        return each
    lane.meters.refused(each.code)
    return {"error": told(each)}
