"""This module measures how busy a replica is: by its processor time, and by how late its loop is.

The processor time alone says too little on a machine that has none left: there the loop is late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil

_PERIOD_SECONDS = 2.0
_TICK_SECONDS = 0.1


class Busyness:
    """This tells every two seconds which share of the time the event loop had something to do.

    Args:
        tell: Is told the share, 0 to 1, in the event loop.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._process = psutil.Process()
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._begun = self._late = self._cpu = 0.0

    def measure(self, *, wanted: bool) -> None:
        """Begin to measure, or end; a second time changes nothing."""
        if wanted and self._timer is None:
            self._begin()
            self._wait()
        elif not wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._begun, self._late = asyncio.get_running_loop().time(), 0.0
        self._cpu = self._cpu_seconds()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        self._late += now - self._due
        passed = now - self._begun
        if passed >= _PERIOD_SECONDS:
            worked = (self._cpu_seconds() - self._cpu) / passed
            self._tell(round(min(1.0, max(worked, self._late / passed)), 2))
            self._begin()
        self._wait()

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
