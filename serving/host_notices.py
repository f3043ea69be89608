"""This module watches the notices of replicas for the host, at the price of one look at a folder.

A replaced or removed file changes the folder. Four times a second everything is read again all the
same: a process that was killed changes no file, and two changes may fall into one tick of the clock
of the file system.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headrace.clock import current_clock
from serving.lane.notices import LaneNotice, is_alive, leave_file, written_lanes

_LOOK_ANYWAY_SECONDS = 0.25


class NoticeBoard:
    """These are the notices of all replicas, as they were last seen.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = -1
        self._looked_at = 0.0
        self._written: dict[str, dict[Path, LaneNotice]] = {}
        self._alive: dict[Path, bool] = {}

    def look(self, endpoints: Mapping[str, object]) -> bool:
        """Look again, and return whether something may have changed."""
        now = current_clock().monotonic()
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:
            changed = -1
        if changed == self._changed and now - self._looked_at < _LOOK_ANYWAY_SECONDS:
            return False
        self._changed, self._looked_at = changed, now
        self._written = {name: written_lanes(self._folder, name) for name in endpoints}
        self._alive = {
            path: is_alive(notice) for of in self._written.values() for path, notice in of.items()
        }
        return True

    def forget(self) -> None:
        """Read everything at the next look, as when endpoints were added."""
        self._changed = -1

    def living(self, endpoint: str) -> tuple[LaneNotice, ...]:
        """Return what the living replicas of an endpoint say, those that began first, first."""
        written = self._written.get(endpoint, {})
        alive = [notice for path, notice in written.items() if self._alive.get(path)]
        return tuple(sorted(alive, key=lambda n: (n.started, n.pid, n.port)))

    def refused(self, endpoint: str, generation: int) -> str:
        """Return why a replica that has ended could not take a table; empty when none did."""
        return next(
            (
                notice.message
                for path, notice in self._written.get(endpoint, {}).items()
                if notice.failed == generation and not self._alive.get(path)
            ),
            "",
        )

    def clear(self, endpoint: str) -> None:
        """Remove what dead replicas left."""
        for path in self._written.get(endpoint, {}):
            if not self._alive.get(path):
                path.unlink(missing_ok=True)
                leave_file(path).unlink(missing_ok=True)

    def send_away(self, endpoint: str, pids: set[int]) -> None:
        """Tell these replicas of an endpoint to leave."""
        for path, notice in self._written.get(endpoint, {}).items():
            if notice.pid in pids and self._alive.get(path):
                leave_file(path).touch()
