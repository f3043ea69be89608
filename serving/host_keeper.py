"""This module keeps Ray running for the host: started again when it dies, old lanes until then."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.clock import current_clock
from serving.host_holder import AppStanding, RayHolder, end_tree, recorded
from serving.host_replicas import DRAIN_SECONDS
from serving.lane.table import LaneTable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LONG_ENOUGH_UP_SECONDS = 60.0
_AGAIN_SECONDS = 2.0
_log = logging.getLogger("headrace.serving")


class RayKeeper:
    """This keeps one Ray with the endpoints that it is given, and says what ails it.

    What is left of a Ray that died may go on answering until another one does: `old` says so, and
    `retire` ends it.

    Args:
        record: Where the process that holds Ray is written down.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._holder: RayHolder | None = None
        self._tables: Sequence[LaneTable] = ()
        self._counts: Mapping[str, int] = {}
        self._number = 0
        self._told_at = 0.0
        self._pause = _FIRST_PAUSE
        self._due = self._up_since = 0.0
        self._retiring: list[int] = []
        left = recorded(record)
        if left is not None:
            self._retiring.append(left)
        self.why = ""

    @property
    def is_up(self) -> bool:
        """Whether Ray runs, as far as is known."""
        return self._holder is not None and self._holder.is_up

    @property
    def is_told(self) -> bool:
        """Whether Serve has been told of the endpoints as they are now."""
        return self._holder is not None and self._holder.deployed == self._number

    @property
    def old(self) -> bool:
        """Whether something is left of a Ray before this one."""
        return bool(self._retiring)

    @property
    def states(self) -> Mapping[str, AppStanding]:
        """What Serve says of the endpoints."""
        return {} if self._holder is None else self._holder.states

    def keep(self, tables: Sequence[LaneTable], counts: Mapping[str, int]) -> None:
        """Have these endpoints run, now and after every death of Ray.

        Args:
            tables: The endpoints.
            counts: How many replicas those have that do not have the least.
        """
        self._tables, self._counts = tables, dict(counts)
        self._number += 1
        self._tell()

    def poll(self) -> None:
        """Look after Ray; to be called often."""
        now = current_clock().monotonic()
        holder = self._holder
        if holder is None:
            if now >= self._due:
                self._holder = RayHolder(self._record)
            return
        was_up = holder.is_up
        gone = holder.poll()
        if gone:
            self._lose(holder, gone, now)
        elif holder.is_up and not was_up:
            self._up_since, self.why = now, ""
            self._tell()
        elif holder.is_up:
            if not self.is_told and now - self._told_at > _AGAIN_SECONDS:
                self._tell()
            if now - self._up_since > _LONG_ENOUGH_UP_SECONDS:
                self._pause = _FIRST_PAUSE

    def retire(self) -> None:
        """End what is left of a Ray before this one."""
        for pid in self._retiring:
            end_tree(pid)
        self._retiring = []

    def stop(self) -> None:
        """Drain the lanes and end Ray."""
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.end()
            holder.wait(DRAIN_SECONDS + 6)
            holder.kill()
        self.retire()
        self._record.unlink(missing_ok=True)

    def _tell(self) -> None:
        if self._holder is not None and self._holder.is_up:
            self._told_at = current_clock().monotonic()
            self._holder.deploy(self._tables, self._number, self._counts)

    def _lose(self, holder: RayHolder, gone: str, now: float) -> None:
        """Note that Ray is gone, and when another one is due."""
        self.why = f"Ray is started again: {gone}"
        _log.error("%s", self.why)
        if holder.has_ended() or not holder.is_up:
            holder.kill()  # one that never came up has no lanes, and would take what the next needs
        else:
            holder.leave_alone()
            self._retiring.append(holder.pid)  # its lanes may answer still
        self._holder = None
        self._due = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
