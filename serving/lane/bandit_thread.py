"""This module is Thompson sampling at work: a thread that learns, and now and then says shares."""

from __future__ import annotations

import logging
import threading

from headrace.clock import SystemClock
from headrace.errors import HeadraceError
from serving.lane.bandit_notice import BanditNotice, write_bandit
from serving.lane.bandit_outcomes import Learning
from serving.lane.bandit_step import BanditFollower
from serving.lane.table import LaneTable

_LONGEST_PAUSE_SECONDS = 5.0
_ANEW_SECONDS = 5.0
_log = logging.getLogger("headrace.bandit")


class BanditThread:
    """This works out the shares of one endpoint, from now until it is ended.

    Args:
        table: The routing table; it deals traffic by Thompson sampling.
    """

    def __init__(self, table: LaneTable) -> None:
        self.follows = sampled(table)
        self._table = table
        self._generation = table.generation
        self._ends = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"bandit of {table.endpoint}", daemon=True
        )
        self._thread.start()

    def take(self, table: LaneTable) -> None:
        """Go on with a table that differs in its shares and generation only."""
        self._generation = table.generation

    def end(self) -> None:
        """Ask it to end."""
        self._ends.set()

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, but not longer than that; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        learning = Learning.of(self._table)
        while learning is not None and not self._ends.is_set():
            try:
                follower = BanditFollower(self._table, learning)
                try:
                    self._follow(follower, learning)
                finally:
                    follower.close()
            except Exception as error:  # whatever it is, traffic stays as it is dealt
                self._say(learning, error)
                self._ends.wait(_ANEW_SECONDS)

    def _follow(self, follower: BanditFollower, learning: Learning) -> None:
        clock = SystemClock()
        every = learning.bandit.every_seconds
        due = clock.monotonic() + every
        while not self._ends.is_set():
            generation = self._generation
            while not follower.step() and not self._ends.is_set():
                pass
            if clock.monotonic() >= due:
                follower.say(generation)
                due = clock.monotonic() + every
            wait = min(_LONGEST_PAUSE_SECONDS, max(0.05, due - clock.monotonic()))
            self._ends.wait(wait)

    def _say(self, learning: Learning, error: Exception) -> None:
        known = isinstance(error, HeadraceError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        _log.error("Shares of '%s': %s", self._table.endpoint, message, exc_info=not known)
        notice = BanditNotice(
            generation=self._generation, salt=learning.salt, shares={}, trace={}, message=message
        )
        try:
            write_bandit(self._table.notices, self._table.endpoint, notice)
        except OSError:  # a full disk: it is in the log of the service
            return


def sampled(table: LaneTable) -> tuple[object, ...] | None:
    """Return what the thread of a table depends on; None where shares do not follow outcomes."""
    learning = Learning.of(table)
    return None if learning is None else (learning, table.clock, table.log, table.notices)
