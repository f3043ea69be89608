"""This module keeps a client's connections to lanes: HTTP with keep-alive, for asyncio."""

from __future__ import annotations

import asyncio

from serving._client_places import Place
from serving._client_reading import BrokenAnswerError, Reading
from serving._client_trust import Trust
from serving._client_wire import Headers, Reply, Request, T

_CONNECT_SECONDS = 1.0
_IDLE_SECONDS = 55.0


class AsyncConnections:
    """These are the open connections of one client, for the tasks of one event loop.

    Args:
        headers: What every request says.
        trust: How TLS is spoken.
        timeout_seconds: How long one answer may take.
    """

    def __init__(self, headers: Headers, trust: Trust, *, timeout_seconds: float) -> None:
        self._headers = headers
        self._trust = trust
        self._timeout = timeout_seconds
        self._idle: dict[Place, list[tuple[_Exchange, float]]] = {}

    async def send(self, place: Place, request: Request[T]) -> Reply:
        """Return the answer to one request.

        Raises:
            OSError: The connection could not be made, or broke; the lane may have answered.
            ParameterError: The files for TLS cannot be used.
        """
        written = self._headers.write(place, request)
        while (kept := self._take(place)) is not None:
            try:
                return await self._sent(place, kept, written)
            except (ConnectionError, BrokenAnswerError):
                if kept.begun:
                    raise
        return await self._sent(place, await self._open(place), written)

    async def close(self) -> None:
        """Close what is idle."""
        idle, self._idle = self._idle, {}
        for kept in idle.values():
            for exchange, _ in kept:
                exchange.close()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    async def _sent(self, place: Place, exchange: _Exchange, written: bytes) -> Reply:
        try:
            reply = await exchange.ask(written, self._timeout)
        except BaseException:
            exchange.close()
            raise
        if exchange.may_go_on:
            self._idle.setdefault(place, []).append((exchange, asyncio.get_running_loop().time()))
        else:
            exchange.close()
        return reply

    def _take(self, place: Place) -> _Exchange | None:
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        kept = self._idle.get(place)
        while kept:
            exchange, since = kept.pop()
            if since > oldest and not exchange.closed:
                return exchange
            exchange.close()
        return None

    async def _open(self, place: Place) -> _Exchange:
        loop = asyncio.get_running_loop()
        context = self._trust.context() if place.tls else None
        async with asyncio.timeout(min(_CONNECT_SECONDS, self._timeout)):
            _, exchange = await loop.create_connection(
                _Exchange,
                place.host,
                place.port,
                ssl=context,
                server_hostname=place.host if place.tls else None,
            )
        return exchange


class _Exchange(asyncio.Protocol):
    """This is one connection: one request on it at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self.closed = False

    @property
    def begun(self) -> bool:
        """Whether anything has come of the answer that is waited for."""
        return self._reading is not None and self._reading.begun

    @property
    def may_go_on(self) -> bool:
        """Whether another request can be sent here."""
        return not self.closed and self._reading is not None and self._reading.may_go_on

    async def ask(self, written: bytes, timeout_seconds: float) -> Reply:
        if self._transport is None or self.closed:
            raise ConnectionResetError("the connection was closed")
        loop = asyncio.get_running_loop()
        self._reading, self._waiting = Reading(), loop.create_future()
        self._transport.write(written)
        late = loop.call_later(timeout_seconds, self._is_late, timeout_seconds)
        try:
            return await self._waiting
        finally:
            late.cancel()
            self._waiting = None

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of TCP, so it can be written to

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def eof_received(self) -> None:
        self._feed(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the connection was closed"))

    def _feed(self, data: bytes) -> None:
        if self._reading is None or self._waiting is None or self._waiting.done():
            self.close()  # nobody asked
            return
        try:
            reply = self._reading.feed(data)
        except OSError as error:
            self._waiting.set_exception(error)
            return
        if reply is not None:
            self._waiting.set_result(reply)

    def _is_late(self, seconds: float) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError(f"no whole answer within {seconds:g} seconds"))
