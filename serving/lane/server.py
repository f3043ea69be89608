"""This module listens for a lane, on a port of its own on loopback, in the replica's event loop.

Ray Serve starts, watches and changes the replica. Requests come straight to it: through Serve's own
ingress a request costs three to four times as much as all the rest; `docs/adr/` has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from headrace.errors import ServiceError
from serving.lane.app import LaneApp

HOST = "127.0.0.1"
_BACKLOG = 2048


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
        port: Port to listen on if it is free; another one if not, any for 0.
    """

    def __init__(self, app: LaneApp, port: int) -> None:
        self._socket = _listening(port)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            http="httptools",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(sockets=[self._socket]))

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


def _listening(port: int) -> socket.socket:
    """Return a bound socket; the port of before keeps clients from having to look it up."""
    for wanted in dict.fromkeys((port, 0)):
        with contextlib.suppress(OSError):
            return socket.create_server((HOST, wanted), backlog=_BACKLOG)
    raise ServiceError(
        f"No port is free on {HOST}.", remedy="End processes that hold ports there; see `ss -ltn`."
    )
