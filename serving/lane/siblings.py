"""This module lets each replica of an endpoint show the sum over all of them, through small files.

A replica that is not alone leaves its snapshot beside its notice every few seconds; whoever is
asked adds those of the others that live. Nobody calls anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import psutil

from headrace.clock import current_clock
from serving.lane.notices import read_lanes
from serving.lane.snapshot import Snapshot, snapshot_of, together

if TYPE_CHECKING:
    from serving.lane.meters import Meters
    from serving.lane.table import LaneTable

_SECONDS = 3.0


class Siblings:
    """This is one replica among those of its endpoint.

    Args:
        meters: What it counted.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._table: LaneTable | None = None
        self._is_telling = self._is_due = False
        self._told: asyncio.Future[None] | None = None

    def follow(self, table: LaneTable) -> None:
        """Tell the others what is counted, from now on, when a table has more than one replica."""
        self._table = table
        if table.replicas[1] <= 1:
            self.leave()
        elif not self._is_telling:
            self._is_telling = True
            _forget_dead(table.notices, table.endpoint)
            if not self._is_due:
                self._tell()

    def leave(self) -> None:
        """Tell no more, and take back what was told; from any thread."""
        was_telling, self._is_telling = self._is_telling, False
        if was_telling and self._table is not None:
            own = _file(self._table.notices, self._table.endpoint, os.getpid())
            own.unlink(missing_ok=True)

    def own(self) -> Snapshot:
        """Return what this replica counted."""
        return snapshot_of(self._meters, pid=os.getpid(), now_us=current_clock().now_us())

    def sum(self) -> Snapshot:
        """Return what all living replicas counted, this one as it is now."""
        others = []
        table = self._table
        if table is not None and table.replicas[1] > 1:
            living = {n.pid for n in read_lanes(table.notices, table.endpoint)} - {os.getpid()}
            files = [_file(table.notices, table.endpoint, pid) for pid in sorted(living)]
            others = [told for file in files if (told := _read(file)) is not None]
        return together([self.own(), *others])

    def _tell(self) -> None:
        self._is_due = self._is_telling
        if not self._is_telling:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(_SECONDS, self._tell)
        if self._table is None or (self._told is not None and not self._told.done()):
            return
        path = _file(self._table.notices, self._table.endpoint, os.getpid())
        self._told = loop.run_in_executor(None, _write, path, self.own())


def _file(folder: Path, endpoint: str, pid: int) -> Path:
    return folder / f"{endpoint}.stats.{pid}.json"


def _forget_dead(folder: Path, endpoint: str) -> None:
    """Remove the files of processes that are gone, which were killed."""
    for path in folder.glob(f"{endpoint}.stats.*.json"):
        pid = path.name.split(".")[2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def _write(path: Path, snapshot: Snapshot) -> None:
    """Replace a replica's file; one that cannot be written is written three seconds later."""
    half = path.with_suffix(".half")
    with contextlib.suppress(OSError):
        half.write_bytes(orjson.dumps(snapshot.to_json()))
        half.replace(path)


def _read(path: Path) -> Snapshot | None:
    try:
        return Snapshot.from_json(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # not there yet, or of another version of Headrace
        return None
