"""This module keeps a client's connections to lanes: HTTP with keep-alive, for threads."""

from __future__ import annotations

import socket
import threading
import time

from serving._client_places import Place
from serving._client_reading import Reading
from serving._client_trust import Trust
from serving._client_wire import Headers, Reply, Request, T

_CONNECT_SECONDS = 1.0  # a machine that does not exist any more says nothing, and others wait
_IDLE_SECONDS = 55.0  # a lane and a front keep idle connections for 75
_PIECE = 1 << 16


class _Stale(OSError):
    """This connection was closed while it was idle, so the request was never read."""


class LaneConnections:
    """These are the open connections of one client, for any number of threads.

    Args:
        headers: What every request says.
        trust: How TLS is spoken.
        timeout_seconds: How long one answer may take.
    """

    def __init__(self, headers: Headers, trust: Trust, *, timeout_seconds: float) -> None:
        self._headers = headers
        self._trust = trust
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._idle: dict[Place, list[tuple[socket.socket, float]]] = {}

    def send(self, place: Place, request: Request[T]) -> Reply:
        """Return the answer to one request.

        Raises:
            OSError: The connection could not be made, or broke; the lane may have answered.
            ParameterError: The files for TLS cannot be used.
        """
        written = self._headers.write(place, request)
        while (kept := self._take(place)) is not None:
            try:
                return self._exchange(place, kept, written, kept=True)
            except _Stale:  # many may be, after a restart
                continue
        return self._exchange(place, self._open(place), written, kept=False)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for connection, _ in kept:
                connection.close()

    def _exchange(
        self, place: Place, connection: socket.socket, written: bytes, *, kept: bool
    ) -> Reply:
        reading = Reading()
        try:
            connection.sendall(written)
            reply = self._read(connection, reading)
        except BaseException as error:
            connection.close()
            broke = isinstance(error, OSError) and not isinstance(error, TimeoutError)
            if kept and broke and not reading.begun:
                raise _Stale from error
            raise
        if reading.may_go_on:
            with self._lock:
                self._idle.setdefault(place, []).append((connection, time.monotonic()))
        else:
            connection.close()
        return reply

    def _read(self, connection: socket.socket, reading: Reading) -> Reply:
        until = time.monotonic() + self._timeout
        while True:
            reply = reading.feed(connection.recv(_PIECE))
            if reply is not None:
                return reply
            if time.monotonic() > until:  # whoever says a little now and then
                raise TimeoutError(f"no whole answer within {self._timeout:g} seconds")

    def _take(self, place: Place) -> socket.socket | None:
        oldest = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            kept = self._idle.get(place)
            while kept:
                connection, since = kept.pop()
                if since > oldest:
                    return connection
                connection.close()
        return None

    def _open(self, place: Place) -> socket.socket:
        connection = socket.create_connection(
            (place.host, place.port), timeout=min(_CONNECT_SECONDS, self._timeout)
        )
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if place.tls:
                connection = self._trust.context().wrap_socket(
                    connection, server_hostname=place.host
                )
            connection.settimeout(self._timeout)
        except BaseException:
            connection.close()
            raise
        return connection
