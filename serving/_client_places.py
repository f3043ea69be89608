"""This module knows where an endpoint can be asked, and chooses; it asks nobody, and no clock.

The front is asked first. Where it does not answer, the replicas are, the least busy one first, and
the front again after a while.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from headrace.errors import ParameterError

_FIRST_REST, _LONGEST_REST = 0.5, 10.0  # seconds that a place is spared which did not answer
_FOUND_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """This is one address of an endpoint.

    Args:
        url: As it was given.
        host: Its machine.
        port: Its port.
        tls: Whether TLS is spoken there.
        netloc: What the request says that it asks.
        prefix: Of every path, such as "/models" behind another proxy; mostly empty.
    """

    url: str
    host: str
    port: int
    tls: bool
    netloc: str
    prefix: str

    @property
    def on_loopback(self) -> bool:
        """Whether it can be reached from its own machine only."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def place_of(url: str) -> Place:
    """Return the place at an address.

    Raises:
        ParameterError: It is no address of HTTP.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        more = parts.query or parts.fragment or parts.username is not None
        known = parts.scheme in _PORTS
        good = (
            known
            and host
            and port
            and not more
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        good = False
    if not good:
        raise ParameterError(
            f"The address of an endpoint is http://HOST:PORT or https://HOST:PORT, got '{url}'.",
            remedy="give the address that `headrace endpoint show` prints.",
        )
    return Place(
        url=url.rstrip("/"),
        host=host or "",
        port=port or 0,
        tls=parts.scheme == "https",
        netloc=parts.netloc,
        prefix=parts.path.rstrip("/"),
    )


class Places:
    """These are the addresses of one endpoint, and how each was met; any thread may use them.

    Args:
        only: The one address there is; None where they have to be found.
    """

    def __init__(self, only: Place | None = None) -> None:
        self._lock = threading.Lock()
        self._fixed = only is not None
        self._front = only
        self._replicas: tuple[Place, ...] = ()
        self._found_at: float | None = None
        self._busy: dict[Place, int] = {}
        self._rests: dict[Place, tuple[float, float]] = {}  # until when, and how long it was
        self._turn = 0

    def due(self, now: float) -> bool:
        """Return whether they have to be found, or found anew: replicas come and go.

        Where some are known, one caller is told so, and others go on with those.
        """
        if self._fixed or (self._found_at is not None and now - self._found_at <= _FOUND_SECONDS):
            return False
        if self.all():
            self._found_at = now
        return True

    def doubt(self) -> None:
        """Have them found anew: none of them answered."""
        self._found_at = None

    def know(self, front: Place | None, replicas: Sequence[Place], now: float) -> None:
        """Take over who there is now; what is remembered of those that stay is kept."""
        with self._lock:
            self._front, self._replicas = front, tuple(dict.fromkeys(replicas))
            self._found_at = now
            stay = {front, *replicas}
            self._rests = {place: rest for place, rest in self._rests.items() if place in stay}

    def all(self) -> tuple[Place, ...]:
        """Return all of them, the front first."""
        return (() if self._front is None else (self._front,)) + self._replicas

    def choose(self, now: float, without: AbstractSet[Place]) -> Place | None:
        """Return who is to be asked, and count it as busy; None when all were asked already.

        Args:
            now: Seconds of any clock that goes on.
            without: Those that this request has been sent to.
        """
        with self._lock:
            open_to = [place for place in self.all() if place not in without]
            if not open_to:
                return None
            rested = [p for p in open_to if self._rests.get(p, (0.0, 0.0))[0] <= now]
            if not rested:
                chosen = min(open_to, key=lambda place: self._rests[place][0])
            elif rested[0] == self._front:
                chosen = rested[0]
            else:
                self._turn += 1
                turned = rested[self._turn % len(rested) :] + rested[: self._turn % len(rested)]
                chosen = min(turned, key=lambda place: self._busy.get(place, 0))
            if chosen in self._rests:  # one request tries it; others go on sparing it meanwhile
                until, rest = self._rests[chosen]
                self._rests[chosen] = (max(until, now) + rest, rest)
            self._busy[chosen] = self._busy.get(chosen, 0) + 1
            return chosen

    def answered(self, place: Place) -> None:
        """Note that it answers."""
        with self._lock:
            self._end(place)
            self._rests.pop(place, None)

    def failed(self, place: Place, now: float) -> None:
        """Note that it could not be reached, or ended on the way; spare it for a while."""
        with self._lock:
            self._end(place)
            _, before = self._rests.get(place, (0.0, 0.0))
            rest = min(2 * before, _LONGEST_REST) or _FIRST_REST
            self._rests[place] = (now + rest, rest)

    def left(self, place: Place) -> None:
        """Note that a request to it was given up, which says nothing of it."""
        with self._lock:
            self._end(place)

    def _end(self, place: Place) -> None:
        left = self._busy.get(place, 0) - 1
        if left > 0:
            self._busy[place] = left
        else:
            self._busy.pop(place, None)
