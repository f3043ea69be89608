"""This module is one request to a lane and its answer, over raw ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from headrace.clock import current_clock
from serving._request_errors import RequestError
from serving.access_keys import Verb
from serving.lane.at_once import answered_at_once, cycle_of, whole_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
JSON = b"application/json"


class Answer(NamedTuple):
    """This is what is sent back.

    Args:
        body: The whole body.
        status: HTTP status.
        content_type: Of the body.
        headers: Further headers, names in small letters.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class GoneError(Exception):
    """This client went away before its request was whole; there is nobody to answer."""


class Asked:
    """This is one request: what it asks for, and who asks.

    Args:
        scope: The connection's scope of ASGI.
        receive: Gives the body, piece by piece.
    """

    __slots__ = ("at", "client", "method", "path", "receive", "scope", "trace")

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.client: str | None = None  # name of the client whose key came, set by the gate
        self.at = 0.0  # when the body was there, in monotonic seconds
        self.trace: Any = None  # the `Trace` of a request that is sampled

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of a name in small letters, None without one."""
        for key, value in self.scope["headers"]:
            if key == name:
                found: bytes = value
                return found
        return None

    async def json_body(self, most: int) -> bytes:
        """Return the body of a request that says it is JSON, or says nothing.

        Raises:
            RequestError: It says that it is something else, or is too large.
        """
        kind = self.header(b"content-type")
        if kind is not None and b"json" not in kind:
            raise RequestError.unsupported_media_type(kind.decode("latin-1"))
        body = self._whole(most)
        return await self.body(most) if body is None else body

    async def body(self, most: int) -> bytes:
        """Return the body, refusing one that is too large before it is read whole.

        Raises:
            RequestError: It has more than `most` bytes.
            GoneError: The client has gone: half a body must not be taken for one.
        """
        body = self._whole(most)
        if body is not None:
            return body
        parts, size = [], 0
        more = True
        while more:
            message = await self._piece()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self.at = current_clock().monotonic()
            if size > most:
                raise RequestError.too_large(size, most)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _whole(self, most: int) -> bytes | None:
        """Return the body where it has come already, as nearly all do."""
        cycle = cycle_of(self.receive)
        body = None if cycle is None else whole_body(cycle)
        if body is not None:
            self.at = current_clock().monotonic()
            if len(body) > most:
                raise RequestError.too_large(len(body), most)
        return body

    async def _piece(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        return message


@dataclass(frozen=True, slots=True)
class Path:
    """This is what answers at a path.

    Args:
        method: The one method that it answers.
        handle: Makes the answer; raises `RequestError` to refuse.
        verb: What a client has to be granted; None for what everybody may see.
    """

    method: Literal["GET", "POST"]
    handle: Callable[[Asked], Awaitable[Answer]]
    verb: Verb | None


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer."""
    body, status, kind, more = answer
    cycle = cycle_of(send)
    if cycle is not None and answered_at_once(cycle, status, kind, more, body):
        return
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
