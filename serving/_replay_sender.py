"""This module sends many small requests to a lane at once, over a few kept connections.

It is what a replay needs and a client does not: requests that stand side by side in time go out
together, so that the lane answers them as one batch. Every decision has an id, so whatever was
under way when a connection broke is sent again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from headrace.clock import SystemClock
from headrace.errors import ServiceError

_CONNECTIONS = 16
_PATIENCE_SECONDS = 60.0
_TIMEOUT_SECONDS = 30.0


class Sender:
    """This posts bodies to one lane.

    Args:
        address: Returns where the lane listens now, None while it does not.
    """

    def __init__(self, address: Callable[[], str | None]) -> None:
        self._address = address
        self._open: list[socket.socket] = []
        self._host = ""

    def post(self, path: str, bodies: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Return status and body of each answer, in the order of the bodies.

        Raises:
            ServiceError: The lane does not answer for a minute.
        """
        answers: list[tuple[int, bytes]] = []
        clock = SystemClock()  # the replay's own clock stands still
        began: float | None = None
        while len(answers) < len(bodies):
            chunk = bodies[len(answers) : len(answers) + _CONNECTIONS]
            try:
                self._connect(len(chunk))
                answers += self._together(path, chunk)
                began = None
            except OSError as error:
                self.close()
                began = clock.monotonic() if began is None else began
                if clock.monotonic() - began > _PATIENCE_SECONDS:
                    raise ServiceError(
                        f"The lane does not answer at {self._host or 'any address'}: {error}.",
                        remedy="Look at `headrace endpoint list` and `headrace status`; then run "
                        "the flow again, which goes on where it was.",
                    ) from error
                _pause()
        return answers

    def close(self) -> None:
        """Close the connections."""
        for each in self._open:
            each.close()
        self._open = []

    def _connect(self, count: int) -> None:
        while len(self._open) < count:
            address = self._address()
            if address is None:
                raise ConnectionRefusedError("it is starting")
            parts = urlsplit(address)
            self._host = parts.netloc
            each = socket.create_connection(
                (parts.hostname or "", parts.port or 80), timeout=_TIMEOUT_SECONDS
            )
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(each)

    def _together(self, path: str, bodies: Sequence[bytes]) -> list[tuple[int, bytes]]:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        ).encode()
        for each, body in zip(self._open, bodies, strict=False):
            each.sendall(b"%s%d\r\n\r\n%s" % (head, len(body), body))
        return [_answer(each) for each, _ in zip(self._open, bodies, strict=False)]


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer: a lane always says how long it is."""
    received = _more(connection, b"")
    while (end := received.find(b"\r\n\r\n")) < 0:
        received = _more(connection, received)
    lower = received[:end].lower()
    start = lower.index(b"content-length:") + len(b"content-length:")
    size = int(lower[start : (lower + b"\r\n").index(b"\r\n", start)])
    while len(received) < end + 4 + size:
        received = _more(connection, received)
    return int(received[9:12]), received[end + 4 : end + 4 + size]


def _more(connection: socket.socket, received: bytes) -> bytes:
    part = connection.recv(65_536)
    if not part:
        raise ConnectionResetError("the connection was closed")
    return received + part


def _pause() -> None:
    import time

    time.sleep(0.1)
