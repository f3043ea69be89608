"""This module lets only requests through that were meant for this page, and bounds the answers.

A page of another site may make a browser send requests here. Three things keep it from doing
harm: the name in `Host` must be this machine's, or a name that leads here for an hour could read
what raters read (DNS rebinding); a request that writes must say that it comes from here; and its
CSRF token, which `sessions` compares, is told to this page's documents only.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})  # "none": typed by the user
SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    # not no-referrer: browsers then say nothing of the origin of a form either
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
"""What keeps a browser from doing anything with an answer that was not meant."""
_NOT_KEPT = (b"cache-control", b"no-store")


class Guard:
    """This stands before an application and refuses requests that were not meant for it.

    Args:
        app: Answers the rest.
        host: The interface that is listened on. On loopback requests must name this machine by a
            name of loopback; beyond it, also by an address or by one of the machine's own names.
    """

    def __init__(self, app: App, *, host: str) -> None:
        self._app = app
        self._names = _LOOPBACK | {host.lower()}
        self._beyond = host not in _LOOPBACK
        if self._beyond:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local", socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refused := self._refusal(scope):
            await _refuse(_bounded(send), *refused)
        else:
            await self._app(scope, receive, _bounded(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if not self._is_here(host):
            return 403, "The labeling page answers requests to this machine only."
        if scope["method"] in _READING:
            return None
        origin = headers.get(b"origin")
        if origin is not None and _place(origin) != host.lower():
            return 403, "A page of another site may not write here."
        if headers.get(b"sec-fetch-site", "none") not in _OURS:
            return 403, "A page of another site may not write here."
        return None

    def _is_here(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None or name.lower() in self._names:
            return name is not None
        return self._beyond and _is_address(name)


def _place(origin: str) -> str | None:
    """Return the host and port of an origin; None for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    """Say whether a name is an address, which nobody can make lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bounded(send: Send) -> Send:
    """Return a `send` that adds what bounds the browser."""

    async def bounded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            kept = any(name.lower() == b"cache-control" for name, _ in given)
            message["headers"] = [*given, *SECURITY, *(() if kept else (_NOT_KEPT,))]
        await send(message)

    return bounded


async def _refuse(send: Send, status: int, problem: str) -> None:
    body = json.dumps({"problem": problem, "reason": "not_ours"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
