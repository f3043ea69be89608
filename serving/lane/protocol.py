"""This module guards a lane's connections: slow, endless and garbled requests end by themselves.

uvicorn leaves that to a proxy before it. A lane may have none, and one client must not be able to
hold memory or connections that others need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving._request_errors import RequestError

MOST_HEAD_BYTES = 32_768
"""Bytes of a request's first line and headers."""

REQUEST_SECONDS = 15.0
"""How long a request may take to arrive, from its first byte to its last."""

MOST_CONNECTIONS = 4_096
"""Connections of one replica at a time."""


class GuardedProtocol(HttpToolsProtocol):
    """This is one connection: uvicorn's, within limits, and with our words where it refuses.

    Args:
        arguments: As uvicorn gives them.
        options: Likewise.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._count: Callable[[str], None] = getattr(
            getattr(self.app, "meters", None), "refused", lambda _: None
        )
        self._head_bytes = 0
        # uvicorn makes a scope when a request begins, and gives it a path after its headers
        self._begun: Any = None  # scope of the request that the bytes of the head are of
        self._ended: Any = None  # scope of the last request that has come to its end
        self._late: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._idle_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a connection on which nothing ever comes ends as an idle one does."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(_crowded())
            return
        self._idle_since = self.loop.time()
        self._idle_look = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._on_time()
        if self._idle_look is not None:
            self._idle_look.cancel()
            self._idle_look = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and watch what is still to come."""
        self._idle_since = None
        super().data_received(data)
        if self.scope is self._ended or self.transport.is_closing():
            return
        if self._in_head:
            if self._begun is not self.scope:
                self._begun, self._head_bytes = self.scope, 0
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(_long_head())
                return
        if self._late is None:
            self._late = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def on_message_complete(self) -> None:
        """Have all of it."""
        self._ended = self.scope
        if self._late is not None:
            self._on_time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or be idle.

        uvicorn sets an alarm after each answer and takes it back at the next request, which costs
        more than to note the time: one alarm looks at that.
        """
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    @property
    def _in_head(self) -> bool:
        return "path" not in self.scope

    def _look_idle(self) -> None:
        """End the connection where nothing has come for as long as it may be idle."""
        since, now = self._idle_since, self.loop.time()
        is_busy = self.scope is not None and (
            self.scope is not self._ended or not self.cycle.response_complete
        )
        if since is None and not is_busy:  # what came began no request
            self._idle_since = now
        left = self.timeout_keep_alive if since is None else since + self.timeout_keep_alive - now
        if left <= 0:
            self._idle_look = None
            self.timeout_keep_alive_handler()
        else:
            self._idle_look = self.loop.call_later(left, self._look_idle)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(_garbled())

    def _too_slow(self) -> None:
        self._late = None
        if self.cycle is not None and self.cycle.response_started and not self._in_head:
            self.transport.close()  # it has its answer, and still sends
        else:
            self._refuse(_slow())

    def _on_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, error: RequestError) -> None:
        """Answer with an error, and end the connection."""
        self._count(error.code)
        self._on_time()
        body = error.to_json()
        head = (
            b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        if not self.transport.is_closing():
            self.transport.write(STATUS_LINE[error.status] + head + body)
            self.transport.close()


def _garbled() -> RequestError:
    return RequestError(
        "not_http",
        "What came is no HTTP/1.1 request.",
        remedy="send one, with a method, a path in ASCII and one content-length.",
    )


def _long_head() -> RequestError:
    return RequestError(
        "head_too_large",
        f"The first line and the headers have more than {MOST_HEAD_BYTES:,} bytes.",
        remedy="send fewer or shorter headers.",
        expected=f"at most {MOST_HEAD_BYTES:,} bytes",
    )


def _slow() -> RequestError:
    return RequestError(
        "too_slow",
        f"The request was not there after {REQUEST_SECONDS:g} s.",
        remedy="send it faster, or less of it.",
    )


def _crowded() -> RequestError:
    return RequestError(
        "too_many_connections",
        f"There are {MOST_CONNECTIONS:,} connections to this replica already.",
        remedy="send it again in a moment, and let several requests share a connection.",
    )
