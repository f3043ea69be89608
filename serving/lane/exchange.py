"""This module is one request to a lane and its answer, over raw ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from headrace.clock import current_clock
from serving._request_errors import RequestError
from serving.access_keys import Verb

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
        return await self.body(most)

    async def body(self, most: int) -> bytes:
        """Return the body, refusing one that is too large before it is read whole.

        Raises:
            RequestError: It has more than `most` bytes.
            GoneError: The client has gone: half a body must not be taken for one.
        """
        message = await self._piece()
        body: bytes = message.get("body", b"")
        self.at = current_clock().monotonic()
        if not message.get("more_body"):
            if len(body) > most:
                raise RequestError.too_large(len(body), most)
            return body
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await self._piece()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise RequestError.too_large(size, most)
        self.at = current_clock().monotonic()
        return b"".join(parts)

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
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
