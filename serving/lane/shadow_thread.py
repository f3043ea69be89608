"""This module is one challenger's shadow at work: a thread of its own, which holds up nobody.

Loading and scoring are done here, and whatever goes wrong is said here and tried again. A call that
never returns keeps this thread alone: nobody waits for it, not even the end of the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from headrace.clock import SystemClock, from_us
from headrace.decisions.log_writer import LogWriter
from headrace.errors import HeadraceError
from serving.lane.guard_counts import GuardTally
from serving.lane.notices import ShadowFigures
from serving.lane.shadow_step import MOST_BEHIND, Shadow
from serving.lane.table import Compared, LaneTable

# While there is something to score, many decisions go into a step, which then costs each of them
# little; while there is nothing, looking whether there is must cost nearly nothing.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 0.8
_AGAIN_SECONDS = 1.0
_ANEW_SECONDS = 30.0
_STUCK_SECONDS = 30.0
_log = logging.getLogger("headrace.shadow")


class ShadowThread:
    """This follows the log for one challenger, from now until it is ended.

    Args:
        table: The routing table.
        rival: The challenger, and the experiment.
        open_log: Returns where scores go; may raise, and is asked again then.
        most_behind: Bytes of the log that it may be behind.
        stuck_seconds: After how long in one step it is said that it is stuck.
        tally: Counts its scores for guardrails; nobody by default.
    """

    def __init__(
        self,
        table: LaneTable,
        rival: Compared,
        open_log: Callable[[], LogWriter],
        *,
        most_behind: int = MOST_BEHIND,
        stuck_seconds: float = _STUCK_SECONDS,
        tally: GuardTally | None = None,
    ) -> None:
        self.follows = followed(table, rival)
        self._table, self._rival = table, rival
        self._open_log = open_log
        self._most_behind = most_behind
        self._stuck_seconds = stuck_seconds
        self._tally = tally
        self._clock = SystemClock()
        self._ends = threading.Event()
        self._shadow: Shadow | None = None
        self._figures = ShadowFigures(model=rival.model.ref, experiment=rival.experiment)
        self._busy_since: tuple[float, int] | None = None  # monotonic seconds, and the moment
        self._thread = threading.Thread(
            target=self._run, name=f"shadow of {rival.model.ref}", daemon=True
        )
        self._thread.start()

    @property
    def figures(self) -> ShadowFigures:
        """How far it has come; asked from another thread, also while this one is stuck."""
        figures, busy, shadow = self._figures, self._busy_since, self._shadow
        if busy is None or self._clock.monotonic() - busy[0] < self._stuck_seconds:
            return figures
        return replace(
            figures,
            behind=figures.behind if shadow is None else shadow.behind(),
            message=f"It has been {'loading' if shadow is None else 'scoring'} since "
            f"{from_us(busy[1]):%Y-%m-%d %H:%M:%S} UTC and has not come back.",
        )

    def end(self) -> None:
        """Ask it to end; a step that is under way writes nothing any more."""
        self._ends.set()

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, but not longer than that; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                self._busy()
                log = self._open_log()
                self._shadow = Shadow(
                    self._table,
                    self._rival,
                    log,
                    most_behind=self._most_behind,
                    figures=replace(self._figures, behind=0),
                    tally=self._tally,
                )
                self._follow(self._shadow)
            except Exception as error:  # whatever it is, others go on and this one tries again
                self._say(error, unexpected=not isinstance(error, HeadraceError | OSError))
                self._idle()
                self._ends.wait(_ANEW_SECONDS)
            finally:
                if self._shadow is not None:
                    self._shadow.close()
                    self._shadow = None

    def _follow(self, shadow: Shadow) -> None:
        pause = _PAUSE_SECONDS
        self._figures = shadow.figures
        while not self._ends.is_set():
            self._busy()
            try:
                read = shadow.step(still=lambda: not self._ends.is_set())
            except (HeadraceError, OSError) as error:  # a full disk may be emptied
                self._say(error)
                self._idle()
                self._ends.wait(_AGAIN_SECONDS)
                continue
            self._figures = shadow.figures
            self._idle()
            if shadow.figures.behind:
                continue
            pause = _PAUSE_SECONDS if read else min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            self._ends.wait(pause)

    def _busy(self) -> None:
        self._busy_since = (self._clock.monotonic(), self._clock.now_us())

    def _idle(self) -> None:
        self._busy_since = None

    def _say(self, error: Exception, *, unexpected: bool = False) -> None:
        known = isinstance(error, HeadraceError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        if message != self._figures.message:
            _log.error(
                "Shadow %s of '%s': %s",
                self._rival.model.ref,
                self._table.endpoint,
                message,
                exc_info=unexpected,
            )
        self._figures = replace(self._figures, message=message)


def followed(table: LaneTable, rival: Compared) -> tuple[object, ...]:
    """Return what a thread depends on; a table in which it is the same leaves the thread alone."""
    return rival, table.champion, table.log
