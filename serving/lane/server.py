"""This module listens for a lane, on a port of its own on loopback, in the replica's event loop.

Ray Serve starts, watches and changes the replica. Requests come straight to it: through Serve's own
ingress a request costs three to four times as much as all the rest; `docs/adr/` has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterator,
    MutableMapping,
    Sequence,
)
from typing import Any

import uvicorn

from headrace.errors import ServiceError
from serving.lane.exchange import Receive, Send
from serving.lane.protocol import GuardedProtocol

HOST = "127.0.0.1"
_BACKLOG = 2048
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared, not listened on
_CLOSE = (b"connection", b"close")
_LOOK_SECONDS = 0.02


class _Quiet(uvicorn.Server):
    """This server leaves signals to the process that it is in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class LaneServer:
    """This is a lane's HTTP server.

    Args:
        app: What answers.
        ports: Ports to listen on, the first that is free; any other when none is.
        host: Interface to listen on.
        tls: With what it speaks TLS; None for plain HTTP.
        shared: Those of `ports` on which the replica listens that this one is to replace. The
            system gives new connections to either of them until that one has left.
    """

    def __init__(
        self,
        app: Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]],
        ports: Sequence[int] = (),
        *,
        host: str = HOST,
        tls: ssl.SSLContext | None = None,
        shared: Collection[int] = (),
    ) -> None:
        self._socket = _listening(host, ports, shared)
        address = HOST if host in _EVERYWHERE else host
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{address}:{self._socket.getsockname()[1]}"
        self.draining = False
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            # uvicorn's own would close the handlers of whoever runs the process: a replica that Ray
            # Serve can ask nothing any more is replaced when its controller dies
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        if tls is not None:
            config.load()
            config.ssl = tls
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(sockets=[self._socket]))

    async def drain(
        self, *, notice_seconds: float, idle_seconds: float, busy_seconds: float
    ) -> None:
        """Answer what has begun, tell clients to go elsewhere, and end.

        Args:
            notice_seconds: How long new connections are still taken: whoever deals requests to
                this replica, or looks its address up, learns meanwhile that it leaves.
            idle_seconds: How long connections that wait for a request are kept open then: one that
                is closed just when its client sends costs that client a request.
            busy_seconds: How long an answer under way may take after that.
        """
        server, connections = self._server, self._server.server_state.connections
        if self._task is None or self._task.done():
            return
        self.draining = True
        # every answer from now on asks its client to connect anew
        server.config.encoded_headers = [*server.config.encoded_headers, _CLOSE]
        server.server_state.default_headers = [*server.server_state.default_headers, _CLOSE]
        await asyncio.sleep(notice_seconds)
        for listening in server.servers:
            listening.close()
        await self._until_left(idle_seconds)
        for connection in list(connections):
            connection.shutdown()  # an idle one at once, another one after its answer
        await self._until_left(busy_seconds)
        server.should_exit = server.force_exit = True
        await asyncio.wait([self._task])

    def require_alive(self) -> None:
        """Raise when the server has ended.

        Raises:
            ServiceError: It has.
        """
        if self._task is not None and self._task.done():
            reason = "was cancelled" if self._task.cancelled() else self._task.exception()
            raise ServiceError(
                f"The server at {self.url} has ended: {reason}.",
                remedy="Look into the log of the replica; Ray Serve starts another one.",
            )

    async def _until_left(self, seconds: float) -> None:
        """Wait until no connection is left, at most so long."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while self._server.server_state.connections and loop.time() < ends:
            await asyncio.sleep(_LOOK_SECONDS)


def _listening(host: str, ports: Sequence[int], shared: Collection[int]) -> socket.socket:
    """Return a bound socket; the port of before keeps clients from having to look it up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (*dict.fromkeys(ports), 0):
        with contextlib.suppress(OSError):
            if port and port not in shared:
                # shared ports would be given away a second time, also to another endpoint's lane
                socket.create_server((host, port), family=family).close()
            listening = socket.create_server(
                (host, port), family=family, backlog=_BACKLOG, reuse_port=True
            )
            # head and body are two writes; without this the second waits for the client's word
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listening
    raise ServiceError(
        f"No port is free on {host}.", remedy="End processes that hold ports there; see `ss -ltn`."
    )
