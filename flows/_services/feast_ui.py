"""This module is the process of the Feast UI: it listens at once, and loads Feast when asked.

Feast takes seconds to import and 300 MB to hold. Nobody should wait or pay for that who does not
look at the page, so that the first request loads it. The page shows and changes nothing: what is
registered is what our definitions say, so that only reading requests are let through, and only
those that name this machine, or another site's script could read them in the user's browser.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from headrace.settings import settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Pages = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
_log = logging.getLogger("headrace.feast_ui")


class LazyPages:
    """This is an ASGI application that is loaded by the first request to it.

    Args:
        load: Returns the application; called once, in a thread, and again after a failure.
        host: The interface that is listened on; on loopback, requests must name this machine.
    """

    def __init__(self, load: Callable[[], Pages], *, host: str = "127.0.0.1") -> None:
        self._load = load
        self._guarded = host in _LOOPBACK
        self._pages: Pages | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif self._guarded and _named(scope) not in _LOOPBACK:
            await _tell(send, 403, "The Feast UI answers requests to this machine only.")
        elif scope["path"] == "/health":
            await _tell(send, 200, "loaded" if self._pages else "not loaded yet")
        elif scope["method"] not in _READING:
            told = "The Feast UI only shows: change a feature view where it is defined."
            await _tell(send, 405, told)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._loading:
                if self._pages is None:
                    self._pages = await asyncio.to_thread(self._load)
        except Exception as error:  # a page must say why there is none, whatever it is
            _log.exception("Feast could not be loaded.")
            await _tell(send, 503, f"Feast could not be loaded: {type(error).__name__}: {error}")
            return
        await self._pages(scope, receive, send)


async def _live(receive: Receive, send: Send) -> None:
    """Take part in the server's beginning and end."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _named(scope: Scope) -> str | None:
    """Return the host that a request names, without its port."""
    for name, value in scope["headers"]:
        if name == b"host":
            return urlsplit(f"//{value.decode('latin-1')}").hostname
    return None


async def _tell(send: Send, status: int, told: str) -> None:
    body = json.dumps({"detail": told}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Listen until the process is stopped."""
    import uvicorn

    def load() -> Pages:
        from features._feast_ui import feast_pages

        pages: Pages = feast_pages()
        return pages

    of = settings()
    pages: Any = LazyPages(load, host=of.feast_ui_host)
    uvicorn.run(pages, host=of.feast_ui_host, port=of.feast_ui_port, log_level="warning")


if __name__ == "__main__":
    main()
