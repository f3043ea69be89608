"""This module lets only requests through that were meant for this page, and bounds the answers.

A page of another site may make a browser send requests here. Three things keep it from doing
harm: the name in `Host` must be this machine's, or a name that leads here for an hour could read
what raters read (DNS rebinding); a request that writes must say that it comes from here; and its
CSRF token, which `sessions` compares, is told to this page's documents only.

Where a proxy shows the page elsewhere, nothing behind this knows of it: the path that the proxy
puts before ours is taken off requests and put before where answers lead.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from headrace.addresses import EVERYWHERE
from serving.labeling.documents import ROOT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})  # "none": typed by the user
_ANOTHER_SITE = "A page of another site may not write here."
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
        public: The address by which a proxy shows the page, as settings write it: its name is then
            the only one beside those of loopback and `host`. None where people come here.
    """

    def __init__(self, app: App, *, host: str, public: str | None = None) -> None:
        self._app = app
        shown = urlsplit(public or "")
        self._public, self._root = shown.hostname, shown.path
        self._origin = f"{shown.scheme}://{shown.netloc}"
        self._names = _LOOPBACK | ({host.lower()} - (EVERYWHERE if public else frozenset()))
        self._beyond = public is None and host not in _LOOPBACK
        if self._public is not None:
            self._names |= {self._public}
        elif self._beyond:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local", socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "").lower()
        by_proxy = self._is_public(host)
        answer = _bounded(send, root=self._root, secure=by_proxy and "https:" in self._origin)
        if refused := self._refusal(scope["method"], host, headers, by_proxy=by_proxy):
            await _refuse(answer, *refused)
            return
        ROOT.set(self._root)  # each request has a context of its own
        await self._app(self._without_root(scope), receive, answer)

    def _refusal(
        self, method: str, host: str, headers: dict[bytes, str], *, by_proxy: bool
    ) -> tuple[int, str] | None:
        if not self._is_here(host):
            return 403, "The labeling page answers requests to this machine only."
        if method in _READING:
            return None
        origin = headers.get(b"origin")
        wrong = None if origin is None else self._wrong_origin(origin.lower(), host, by_proxy)
        if wrong is not None:
            return 403, wrong
        if headers.get(b"sec-fetch-site", "none") not in _OURS:
            return 403, _ANOTHER_SITE
        return None

    def _wrong_origin(self, origin: str, host: str, by_proxy: bool) -> str | None:
        if by_proxy and origin == self._origin:
            return None
        if by_proxy and _place(origin) == host:
            return f"The labeling page is written to at {self._origin} only."
        if not by_proxy and _place(origin) == host:
            return None
        if self._public is not None and origin == self._origin:
            return "The proxy before the labeling page does not pass on the name in Host."
        return _ANOTHER_SITE

    def _is_here(self, host: str) -> bool:
        name = _name(host)
        if name is None or name in self._names:
            return name is not None
        return self._beyond and _is_address(name)

    def _is_public(self, host: str) -> bool:
        """Say whether a request names the public address; on loopback its port tells it."""
        if self._public is None or _name(host) != self._public:
            return False
        return self._public not in _LOOPBACK or f"//{host}" == self._origin.partition(":")[2]

    def _without_root(self, scope: Scope) -> Scope:
        if not self._root or not f"{scope['path']}/".startswith(f"{self._root}/"):
            return scope
        return {**scope, "path": scope["path"][len(self._root) :] or "/"}


def _name(host: str) -> str | None:
    """Return the name or address in a `Host`, without its port; None for what is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


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


def _bounded(send: Send, *, root: str, secure: bool) -> Send:
    """Return a `send` that adds what bounds the browser, and the path of a proxy.

    Args:
        send: Sends to the server.
        root: That path; it is put before where an answer leads.
        secure: Whether the browser came by https: it then sends cookies that way alone.
    """

    def outward(name: bytes, value: bytes) -> bytes:
        if name == b"location" and value.startswith(b"/"):
            return root.encode() + value
        return value + b"; Secure" if secure and name == b"set-cookie" else value

    async def bounded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(n.lower(), outward(n.lower(), v)) for n, v in message.get("headers", ())]
            kept = any(name == b"cache-control" for name, _ in given)
            message["headers"] = [*given, *SECURITY, *(() if kept else (_NOT_KEPT,))]
        await send(message)

    return bounded


async def _refuse(send: Send, status: int, problem: str) -> None:
    body = json.dumps({"problem": problem, "reason": "not_ours"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
