"""This module lets requests in: whoever has no right to what is asked is refused.

A key is looked at in a time that doesn't depend on it: it is hashed, whoever sent it, and hashes
are compared whole.
"""

from __future__ import annotations

import logging
from pathlib import Path

from headrace.clock import current_clock
from headrace.settings import settings
from serving._access_errors import (
    access_unknown,
    forbidden,
    rate_limited,
    unauthorized,
)
from serving.access_file import Granted, access_file, read_access
from serving.access_keys import Verb, is_secret, parts_of
from serving.lane.exchange import Asked
from serving.lane.rate import Bucket

_LOOK_SECONDS = 0.5
_log = logging.getLogger("headrace.lane")


class Gate:
    """This gate is open: everybody who reaches the lane may ask it."""

    def admit(self, asked: Asked, verb: Verb | None) -> None:
        """Let a request in, and note whose it is.

        Args:
            asked: The request.
            verb: What it is about to do; None for what everybody may see.

        Raises:
            RequestError: It is refused.
        """

    def charge(self, asked: Asked, requests: int) -> None:
        """Let a request that was let in count as several, as a batch does.

        Raises:
            RequestError: It is more than its client may ask now.
        """


class KeyGate(Gate):
    """This gate asks for a key.

    Args:
        endpoint: Name of the endpoint.
        file: Who may ask; see `serving.access_file`. It is looked at twice a second.
    """

    def __init__(self, endpoint: str, file: Path) -> None:
        self._endpoint = endpoint
        self._file = file
        self._clients: dict[str, Granted] | None = None
        self._buckets: dict[str, Bucket] = {}
        self._mark: tuple[int, int, int] | None = None
        self._looked = float("-inf")

    def admit(self, asked: Asked, verb: Verb | None) -> None:
        """Let a request in if its key is good for what it asks."""
        if verb is None:
            return
        now = current_clock().monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._look()
            self._looked = now
        client = self._client(asked)
        if verb not in client.verbs:
            raise forbidden(client.name, verb, self._endpoint)
        asked.client = client.name
        if client.per_second is not None:
            self._take(client, 1, now)

    def charge(self, asked: Asked, requests: int) -> None:
        """Let a request count as several."""
        client = next((c for c in (self._clients or {}).values() if c.name == asked.client), None)
        if client is not None and client.per_second is not None and requests > 1:
            self._take(client, requests - 1, current_clock().monotonic())

    def _client(self, asked: Asked) -> Granted:
        """Return whose key a request has.

        Raises:
            RequestError: It has none that is good.
        """
        if self._clients is None:
            raise access_unknown(self._endpoint)
        key = _key_of(asked)
        parts = None if key is None else parts_of(key)
        if parts is None:
            raise unauthorized("no key" if key is None else "what is no key")
        client = self._clients.get(parts[0])
        if not is_secret(parts[1], None if client is None else client.digest) or client is None:
            raise unauthorized("a key that is not good, or not any more")
        if client.expires_us is not None and client.expires_us <= current_clock().now_us():
            raise unauthorized("a key that has expired")
        return client

    def _take(self, client: Granted, requests: int, now: float) -> None:
        bucket = self._buckets.get(client.name)
        rate = float(client.per_second or 0)
        if bucket is None or (bucket.per_second, bucket.burst) != (rate, client.burst):
            bucket = self._buckets[client.name] = Bucket(rate, client.burst, now)
        wait = bucket.take(requests, now)
        if wait > 0:
            raise rate_limited(client.name, self._endpoint, rate, wait)

    def _look(self) -> None:
        """Read who may ask, if that was written anew; what cannot be read changes nothing."""
        try:
            stat = self._file.stat()
            mark = stat.st_mtime_ns, stat.st_size, stat.st_ino
            if mark == self._mark:
                return
            self._clients = read_access(self._file, self._endpoint)
            self._mark = mark
        except (OSError, ValueError) as error:
            _log.error("Who may ask '%s' cannot be read: %s", self._endpoint, error)
            return
        names = {client.name for client in self._clients.values()}
        self._buckets = {n: bucket for n, bucket in self._buckets.items() if n in names}


def gate_of(endpoint: str, notices: Path) -> Gate:
    """Return the gate of a lane: open, or, where the settings say so, one that asks for keys.

    Args:
        endpoint: Name of the endpoint.
        notices: Folder of the lanes' notices, beside which the host says who may ask.
    """
    return KeyGate(endpoint, access_file(notices)) if settings().asks_for_keys else Gate()


def _key_of(asked: Asked) -> str | None:
    """Return the key of a request: a bearer token, or the header x-api-key."""
    bearer = asked.header(b"authorization")
    if bearer is not None:
        kind, _, token = bearer.partition(b" ")
        return token.strip().decode("latin-1") if kind.lower() == b"bearer" else ""
    plain = asked.header(b"x-api-key")
    return None if plain is None else plain.strip().decode("latin-1")
