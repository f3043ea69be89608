"""This module alone asks for the time; a replay puts a virtual clock in its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol

from headrace.errors import ParameterError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """This port tells the time; every part of Headrace that needs it asks the current clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def now_us(self) -> int:
        """Return the present moment in whole microseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin that never run backwards, for durations."""
        ...


class SystemClock:
    """This clock is the machine's."""

    def now(self) -> datetime:
        """Return the machine's time, aware, in UTC."""
        return datetime.now(UTC)

    def now_us(self) -> int:
        """Return the machine's time in microseconds; a fifth of the cost of `now`."""
        return time.time_ns() // 1000

    # The machine's monotonic seconds, which a corrected clock does not disturb. Itself, and not
    # a method that asks for them: lanes ask several times a decision.
    monotonic = staticmethod(time.monotonic)


class VirtualClock:
    """This clock stands still until it is advanced: a replay decides when things are known.

    Args:
        start: The first moment, aware; kept in UTC.

    Raises:
        ParameterError: `start` is naive.
    """

    def __init__(self, start: datetime) -> None:
        self._start = _aware(start, "start")
        self._now = self._start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the moment that the clock was last advanced to, in UTC."""
        return self._now

    def now_us(self) -> int:
        """Return the moment that the clock was last advanced to, in microseconds."""
        return as_us(self._now)

    def monotonic(self) -> float:
        """Return the virtual seconds since `start`."""
        return (self._now - self._start).total_seconds()

    def advance_to(self, moment: datetime) -> None:
        """Set the time to `moment`, aware; the same moment again is allowed, an earlier one is not.

        Raises:
            ParameterError: `moment` is naive or before the present moment.
        """
        later = _aware(moment, "moment")
        with self._lock:
            if later < self._now:
                raise ParameterError(
                    f"The clock stands at {self._now.isoformat()} and cannot go back to "
                    f"{later.isoformat()}.",
                    remedy="deliver events in the order of their known time, or start a new clock.",
                )
            self._now = later


_SYSTEM = SystemClock()
_CURRENT: ContextVar[Clock] = ContextVar("headrace_clock", default=_SYSTEM)


def current_clock() -> Clock:
    """Return the clock of this context: the machine's, unless `using_clock` chose another."""
    return _CURRENT.get()


@contextmanager
def using_clock(clock: Clock) -> Iterator[Clock]:
    """Make `clock` the current one in a `with` block, for this thread and its tasks only."""
    token = _CURRENT.set(clock)
    try:
        yield clock
    finally:
        _CURRENT.reset(token)


def as_us(moment: datetime) -> int:
    """Return an aware moment in whole microseconds since 1970, UTC, rounded down."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the moment, aware, in UTC, that is so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _aware(moment: datetime, name: str) -> datetime:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ParameterError(
            f"The argument '{name}' is {moment.isoformat()}, a time without a zone.",
            remedy="say the zone, for example "
            f"datetime({moment.year}, {moment.month}, {moment.day}, tzinfo=UTC).",
        )
    return moment.astimezone(UTC)
