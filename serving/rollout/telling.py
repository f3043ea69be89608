"""This module has the registry and subscribers told of what the host did by itself, by a process.

MLflow and Prefect may be away, or hang, and their libraries take seconds to import. The host waits
for none of that: it starts a process, looks now and then whether that has told all, and starts
another one later if it has not.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from headrace.clock import current_clock

_MODULE = "flows._rollback_told"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 600.0
_log = logging.getLogger("headrace.serving")


@dataclass(eq=False)
class _Due:
    """This is an endpoint of which something is to be told."""

    pause: float = _FIRST_PAUSE_SECONDS
    at: float = 0.0


class Teller:
    """This has processes tell of endpoints, one at a time, until nothing is left to be told.

    Args:
        command: What tells of an endpoint, to which its name is added; it returns 0 when it has.

    Attributes:
        told: Is called with the name of an endpoint of which all is told.
    """

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", _MODULE)) -> None:
        self._command = command
        self.told: Callable[[str], None] = lambda _: None
        self._due: dict[str, _Due] = {}
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be told."""
        return not self._due and self._running is None

    def is_to_tell(self, endpoint: str) -> bool:
        """Whether something is still to be told of an endpoint."""
        return endpoint in self._due

    def tell(self, endpoint: str) -> None:
        """Have somebody told what was done to an endpoint."""
        self._due[endpoint] = _Due()

    def look(self) -> None:
        """See what a process came to, and start the next one; it returns at once."""
        now = current_clock().monotonic()
        if self._running is not None:
            name, process = self._running
            code = process.poll()
            if code is None:
                return
            self._running = None
            self._ended(name, code, now)
        for name, due in self._due.items():
            # one that is due beyond its own pause is so by a clock that went back
            if now >= due.at or due.at - now > due.pause:
                self._running = name, self._started(name)
                return

    def stop(self) -> None:
        """End the process; what it had not told is told by whoever judges the endpoint next."""
        if self._running is not None:
            self._running[1].kill()
            self._running[1].wait()
            self._running = None

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._command, name], stdin=subprocess.DEVNULL)  # noqa: S603

    def _ended(self, name: str, code: int, now: float) -> None:
        due = self._due.get(name)
        if due is None:
            return
        if code == 0:
            del self._due[name]
            self.told(name)
            return
        _log.warning("What was done to '%s' is told again in %g s.", name, due.pause)
        due.at = now + due.pause
        due.pause = min(2 * due.pause, _LONGEST_PAUSE_SECONDS)
