"""This module makes the requests of both clients: what is sent, and how its answer is read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from serving._client_answers import (
    Decision,
    DecisionRefused,
    Ranking,
    Recorded,
    decision_of,
    decisions_of,
    ranking_of,
    read_answer,
    read_refusal,
    recorded_of,
)
from serving._client_bodies import Outcome, encoded, pieces, require_finite, written
from serving._client_wire import JSON, Reply, Request

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")
ARROW = "application/vnd.apache.arrow.stream"
FLOATS = "application/octet-stream"
_MOST_TOGETHER = 500  # a lane takes so many decisions in one body of JSON
_MOST_TOGETHER_BYTES = 3 << 20


def decide_request(
    endpoint: str,
    *,
    entity: Mapping[str, Any],
    features: Mapping[str, Any] | None,
    id: str | None,  # noqa: A002  what the request calls it
    at: datetime | str | None,
    outputs: Sequence[str],
    explain: bool,
) -> Request[Decision]:
    """Return the question for one decision, with an id in any case, so that it can be repeated.

    Raises:
        ParameterError: A value cannot be sent as JSON.
    """
    body = _decision(entity=entity, features=features, id=id, at=at) | _wanted(outputs, explain)
    return Request("POST", _path(endpoint, "/decide"), encoded(body), _as_json(decision_of))


def decide_many_requests(
    endpoint: str,
    decisions: Iterable[Mapping[str, Any]],
    *,
    outputs: Sequence[str],
    explain: bool,
) -> Iterator[Request[list[Decision | DecisionRefused]]]:
    """Yield the questions for many decisions, each with as many as a lane takes together.

    Raises:
        ParameterError: A value cannot be sent as JSON.
    """
    end = b"}" if not (wanted := _wanted(outputs, explain)) else b"," + encoded(wanted)[1:]
    parts: list[bytes] = []
    size = 0

    def together() -> Request[list[Decision | DecisionRefused]]:
        body = b'{"decisions":[' + b",".join(parts) + b"]" + end
        headers = _kinds(JSON) | {"idempotency-key": uuid.uuid4().hex}  # all have ids
        path = _path(endpoint, "/decide-batch")
        return Request("POST", path, body, _as_json(decisions_of), headers)

    for each in decisions:
        part = encoded(_decision(**each))
        if parts and (len(parts) == _MOST_TOGETHER or size + len(part) > _MOST_TOGETHER_BYTES):
            yield together()
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield together()


def rank_request(
    endpoint: str,
    items: Iterable[Mapping[str, Any]],
    *,
    entity: Mapping[str, Any] | None,
    features: Mapping[str, Any] | None,
    id: str | None,  # noqa: A002
    top: int | None,
    at: datetime | str | None,
    outputs: Sequence[str],
    explain: bool,
) -> Request[Ranking]:
    """Return the question for the order of a list.

    Raises:
        ParameterError: A value cannot be sent as JSON.
    """
    listed = [{name: _finite(values) for name, values in each.items()} for each in items]
    body: dict[str, Any] = {"id": id or uuid.uuid4().hex, "items": listed}
    body |= {} if entity is None else {"entity": _finite(entity)}
    body |= {} if features is None else {"features": _finite(features)}
    body |= {} if top is None else {"top": top}
    body |= {} if at is None else {"at": written(at)}
    body |= _wanted(outputs, explain)
    return Request("POST", _path(endpoint, "/rank"), encoded(body), _as_json(ranking_of))


def matrix_request(
    endpoint: str,
    rows: np.ndarray[Any, Any],
    *,
    layout: str,
    id: str | None,  # noqa: A002
) -> Request[np.ndarray[Any, Any]]:
    """Return the question for the scores of rows of numbers; their places are the features'."""
    import numpy as np

    def read(reply: Reply) -> np.ndarray[Any, Any]:
        read_refusal(reply.status, reply.body)
        return np.frombuffer(reply.body, dtype="<f8")

    path = _path(endpoint, "/decide-batch") + f"?id={_batch_id(id)}&layout={quote(layout, safe='')}"
    body = np.ascontiguousarray(rows, dtype="<f4").tobytes()
    return Request("POST", path, body, read, _kinds(FLOATS))


def table_request(
    endpoint: str,
    table: pa.Table,
    *,
    id: str | None,  # noqa: A002
) -> Request[pa.Table]:
    """Return the question for the scores of a table's rows."""
    import pyarrow as pa

    def read(reply: Reply) -> pa.Table:
        read_refusal(reply.status, reply.body)
        return pa.ipc.open_stream(reply.body).read_all()

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    path = _path(endpoint, "/decide-batch") + f"?id={_batch_id(id)}"
    return Request("POST", path, sink.getvalue().to_pybytes(), read, _kinds(ARROW))


def outcome_requests(endpoint: str, outcomes: Iterable[Outcome]) -> Iterator[Request[Recorded]]:
    """Yield what tells outcomes, each request with as many as a lane takes together.

    Raises:
        ParameterError: A value is infinite.
    """
    for body in pieces(outcomes):
        yield Request("POST", _path(endpoint, "/outcomes"), body, _as_json(recorded_of))


def together(parts: Iterable[Recorded]) -> Recorded:
    """Return what became of outcomes that were told in several requests."""
    recorded = repeated = corrected = late = 0
    for part in parts:
        recorded, repeated = recorded + part.recorded, repeated + part.repeated
        corrected, late = corrected + part.corrected, late + part.late
    return Recorded(recorded=recorded, repeated=repeated, corrected=corrected, late=late)


def about_request(endpoint: str) -> Request[dict[str, Any]]:
    """Return the question what answers now."""
    return Request("GET", _path(endpoint, ""), None, _as_json(dict))


def _decision(
    *,
    entity: Mapping[str, Any],
    features: Mapping[str, Any] | None = None,
    id: str | None = None,  # noqa: A002
    at: datetime | str | None = None,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "id": uuid.uuid4().hex if id is None else id,
        "entity": _finite(entity),
    }
    if features is not None:
        request["features"] = _finite(features)
    if at is not None:
        request["at"] = written(at)
    return request


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    require_finite(values)
    return dict(values)


def _wanted(outputs: Sequence[str], explain: bool) -> dict[str, Any]:
    return ({"outputs": list(outputs)} if outputs else {}) | ({"explain": True} if explain else {})


def _batch_id(given: str | None) -> str:
    return uuid.uuid4().hex if given is None else quote(given, safe="")


def _path(endpoint: str, rest: str) -> str:
    return f"/v1/{quote(endpoint, safe='')}{rest}"


def _kinds(kind: str) -> dict[str, str]:
    return {"content-type": kind, "accept": kind}


def _as_json(read: Callable[[dict[str, Any]], T]) -> Callable[[Reply], T]:
    return lambda reply: read_answer(reply.status, reply.body, read)
