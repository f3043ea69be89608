"""This module holds what the front itself answers: JSON errors as a lane's, with a remedy each."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

MOST_BYTES = 64 << 20
"""Of a body that the front passes on; every lane refuses far smaller ones by itself."""

_ASKED = "ASKED-FOR"
_PART = "%[path,field(3,/),bytes(0,64),json(utf8s)]"
_PATH = "%[path,bytes(0,128),json(utf8s)]"
_STATUS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Payload Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_ERRORS = {
    400: ("not_http", "What was sent is no HTTP request.", "send one as HTTP/1.1 or HTTP/2."),
    408: (
        "too_slow",
        "The request did not come whole within 10 seconds.",
        "send it at once, with the length that it has.",
    ),
    413: (
        "too_large",
        f"The body has more than {MOST_BYTES:,} bytes.",
        "send less in one request.",
    ),
    500: ("front_failed", "The front could not pass the request on.", "send it again."),
    502: (
        "broken_off",
        "The replica that was asked ended before it answered.",
        "send the request again with the same id: a decision that was made is answered again.",
    ),
    503: (
        "starting",
        "No replica of this endpoint answers now.",
        "try again in a second; `headrace endpoint show` says why.",
    ),
    504: (
        "no_answer",
        "The replica that was asked did not answer in time.",
        "send the request again with the same id: a decision that was made is answered again.",
    ),
}
_UNKNOWN_ENDPOINT = {
    "code": "unknown_endpoint",
    "field": "endpoint",
    "expected": "an endpoint that answers here",
    "got": f"'{_ASKED}'",
    "message": f"There is no endpoint '{_ASKED}' at this address.",
    "remedy": "run `headrace endpoint list` to see those there are, and where.",
}
_UNKNOWN_PATH = {
    "code": "unknown_endpoint",
    "field": "path",
    "expected": "/v1/ENDPOINT/decide and what else an endpoint answers",
    "got": f"'{_ASKED}'",
    "message": f"There is nothing at '{_ASKED}'.",
    "remedy": "ask at /v1/ENDPOINT; `headrace endpoint list` names the endpoints.",
}


def files() -> dict[str, bytes]:
    """Return the files that HAProxy answers from, by name."""
    written = {f"{status}.http": _whole(status) for status in _STATUS}
    return written | {
        "unknown-endpoint.json": _with(_UNKNOWN_ENDPOINT, _PART),
        "unknown-path.json": _with(_UNKNOWN_PATH, _PATH),
        "well.json": b'{"status":"ok"}',
        "starting.json": _body(503),
        "too-large.json": _body(413),
    }


def error_files() -> dict[int, str]:
    """Return the file that HAProxy answers an error of its own from, by status."""
    return {status: f"{status}.http" for status in _STATUS}


def _whole(status: int) -> bytes:
    body = _body(status)
    later = "retry-after: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{later}cache-control: no-store\r\n\r\n"
    )
    return head.encode() + body


def _body(status: int) -> bytes:
    code, message, remedy = _ERRORS[status]
    return orjson.dumps({"error": {"code": code, "message": message, "remedy": remedy}})


def _with(error: Mapping[str, str], expression: str) -> bytes:
    """Return a body that HAProxy completes with what was asked for; its own % is written twice."""
    body = orjson.dumps({"error": error})
    return body.replace(b"%", b"%%").replace(_ASKED.encode(), expression.encode())
