"""This module gives and takes whole bodies where uvicorn has them already: no message, no wait.

ASGI passes a request and its answer as messages, each a dictionary and a turn of a coroutine. Most
requests are there as a whole when they are asked for, and most answers are one piece: then that is
a tenth of what a decision costs. Whatever is not as plain as that goes uvicorn's own way.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

Headers = tuple[tuple[bytes, bytes], ...]


def cycle_of(receive: Any) -> RequestResponseCycle | None:
    """Return uvicorn's side of a request; None where somebody else gives its messages."""
    cycle = getattr(receive, "__self__", None)
    return cycle if type(cycle) is RequestResponseCycle else None


def whole_body(cycle: RequestResponseCycle) -> bytes | None:
    """Take the body of a request that is there as a whole; None where it has to be waited for."""
    if (
        cycle.more_body
        or cycle.disconnected
        or cycle.response_complete
        or cycle.waiting_for_100_continue
    ):
        return None
    cycle.flow.resume_reading()
    cycle.message_event.clear()
    body = bytes(cycle.body)
    cycle.body = bytearray()
    return body


def answered_at_once(
    cycle: RequestResponseCycle, status: int, kind: bytes, headers: Headers, body: bytes
) -> bool:
    """Send an answer in one write, and say whether that was possible.

    Args:
        cycle: The request.
        status: HTTP status.
        kind: Media type of the body, which is ours.
        headers: Further headers, with names of ours and any values.
        body: The whole body.
    """
    if (
        cycle.response_started
        or cycle.disconnected
        or cycle.default_headers
        or cycle.access_log
        or not cycle.keep_alive
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    more = b""
    for name, value in headers:
        if HEADER_VALUE_RE.search(value):
            return False  # which uvicorn refuses
        more += b"%b: %b\r\n" % (name, value)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(
        b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b"
        % (STATUS_LINE[status], kind, len(body), more, body)
    )
    cycle.message_event.set()
    cycle.on_response()
    return True
