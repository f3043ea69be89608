"""This module keeps the client's connections to a lane: HTTP with keep-alive, no proxy, no magic.

A call by `http.client` costs a fifth of one by httpx, and a replay makes many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import urlsplit

from headrace.errors import ParameterError

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class LaneConnections:
    """These are the open connections to one lane, for any number of threads.

    Args:
        find: Says where the lane answers now, such as "http://127.0.0.1:30000".
        timeout_seconds: How long one connection or answer may take.
    """

    def __init__(self, find: Callable[[], str], *, timeout_seconds: float) -> None:
        self._find = find
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._address: tuple[str, int] | None = None
        self.url: str | None = None  # where the last request went, for messages

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Return the status and the body of the answer to one request, sent once.

        Raises:
            OSError: The connection could not be made, or broke; the lane may have answered.
            http.client.HTTPException: What came back isn't HTTP, or ended early.
            ParameterError: The address isn't one of a lane.
        """
        connection, address = self._take()
        try:
            connection.request(method, path, body, _HEADERS)
            response = connection.getresponse()
            answer = response.status, response.read()
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, address)
        return answer

    def forget(self) -> None:
        """Close what is idle and ask for the address again at the next request."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._address = None
        for connection in idle:
            connection.close()

    def _take(self) -> tuple[HTTPConnection, tuple[str, int]]:
        with self._lock:
            if self._address is None:
                url = self._find()
                self._address = _host_and_port(url)
                self.url = url
            if self._idle:
                return self._idle.pop(), self._address
        return HTTPConnection(*self._address, timeout=self._timeout), self._address

    def _give_back(self, connection: HTTPConnection, address: tuple[str, int]) -> None:
        with self._lock:
            if address == self._address:
                self._idle.append(connection)
                return
        connection.close()  # the lane has moved meanwhile


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise ParameterError(
            f"The address of a lane is http://HOST:PORT, got '{url}'.",
            remedy="give the address that `headrace endpoint show` prints, without a path.",
        )
    return parts.hostname, parts.port or 80
