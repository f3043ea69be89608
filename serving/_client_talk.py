"""This module is how a client comes to an answer, whoever sends for it and waits.

`talk` is a generator: it yields what to do next and is told what came of it, so that the client
for threads and the one for asyncio follow the same rules.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from headrace.errors import HeadraceError, ServiceError
from serving._client_answers import NotYet
from serving._client_places import Place, Places
from serving._client_wire import Reply, Request

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds
_SAYS_WHEN = (429, 503)


@dataclass(frozen=True, slots=True)
class Find:
    """This step looks up where the endpoint can be asked."""


@dataclass(frozen=True, slots=True)
class Send:
    """This step sends the request to a place and gives its reply."""

    place: Place


@dataclass(frozen=True, slots=True)
class Pause:
    """This step waits, some seconds long."""

    seconds: float


Step = Find | Send | Pause
Talk = Generator[Step, Reply | None, T]


class _Again(Exception):
    """This attempt gave nothing that is final."""

    def __init__(self, error: HeadraceError, *, seconds: float, elsewhere: bool) -> None:
        self.error = error
        self.seconds = seconds
        self.elsewhere = elsewhere


def talk(endpoint: str, places: Places, request: Request[T], *, patience_seconds: float) -> Talk[T]:
    """Return the answer to a request, by way of steps.

    A place that cannot be reached, or is starting, is left at once for another one. When all were
    asked, all are asked again, after a pause that grows or that one of them asked for.

    Args:
        endpoint: Its name, for messages.
        places: Where it can be asked.
        request: What to ask.
        patience_seconds: For how long to go on.

    Raises:
        HeadraceError: What the last answer said, or why there was none.
    """
    # the machine's seconds: the clock of a replay stands still meanwhile
    until, backoff = time.monotonic() + patience_seconds, _FIRST_PAUSE
    asked: set[Place] = set()
    least, trouble = 0.0, _nowhere(endpoint)
    while True:
        if places.due(time.monotonic()):
            try:
                yield Find()
            except NotYet as error:
                trouble = error
        place = places.choose(time.monotonic(), asked)
        if place is not None:
            asked.add(place)
            try:
                return (yield from _once(endpoint, places, place, request))
            except _Again as again:
                trouble, least = again.error, max(least, again.seconds)
                now = time.monotonic()
                if again.elsewhere and now <= until and not asked.issuperset(places.all()):
                    continue
        pause = max(least, random.uniform(backoff / 2, backoff))  # noqa: S311  not a secret
        if time.monotonic() + pause > until:
            raise trouble from None
        yield Pause(pause)
        asked.clear()
        places.doubt()
        least, backoff = 0.0, min(2 * backoff, _LONGEST_PAUSE)


def _once(endpoint: str, places: Places, place: Place, request: Request[T]) -> Talk[T]:
    try:
        reply = yield Send(place)
    except ssl.SSLCertVerificationError as error:
        places.left(place)
        raise _untrusted(endpoint, place, error) from None
    except OSError as error:
        places.failed(place, time.monotonic())
        trouble = _unreachable(endpoint, place, error)
        raise _Again(trouble, seconds=0.0, elsewhere=True) from None
    except BaseException:
        places.left(place)
        raise
    places.answered(place)
    assert reply is not None  # noqa: S101  what a Send gives
    try:
        return request.read(reply)
    except NotYet as error:
        raise _Again(error, seconds=_asked_to_wait(reply) or 0.0, elsewhere=True) from None
    except HeadraceError as error:
        seconds = _asked_to_wait(reply)
        if seconds is None:
            raise
        raise _Again(error, seconds=seconds, elsewhere=False) from None


def _asked_to_wait(reply: Reply) -> float | None:
    """Return for how many seconds an answer asks to wait; None where it does not."""
    said = reply.headers.get("retry-after") if reply.status in _SAYS_WHEN else None
    if said is None:
        return None
    try:
        return max(float(said), 0.0)
    except ValueError:  # a date, from somebody else's proxy
        return 1.0


def _nowhere(endpoint: str) -> HeadraceError:
    return ServiceError(f"Endpoint '{endpoint}' has no address.", remedy=remedy(endpoint))


def _unreachable(endpoint: str, place: Place, error: Exception) -> HeadraceError:
    return ServiceError(
        f"No lane of endpoint '{endpoint}' answers at {place.url}: "
        f"{str(error) or type(error).__name__}.",
        remedy=remedy(endpoint),
    )


def _untrusted(endpoint: str, place: Place, error: ssl.SSLCertVerificationError) -> HeadraceError:
    return ServiceError(
        f"The certificate of endpoint '{endpoint}' at {place.url} is not trusted: "
        f"{error.verify_message or error}.",
        remedy="name who signed it with `ca` or the setting 'client_ca', and ask at a name that "
        "the certificate has.",
    )


def remedy(endpoint: str) -> str:
    """Return what to do where no lane answers."""
    return f"run `headrace up`, and see `headrace endpoint show {endpoint}`."
