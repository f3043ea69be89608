"""This module closes the records of runs whose process ended without a word."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock

if TYPE_CHECKING:
    from headrace.lineage import Lineage

_LOOKED_AT = 100  # the newest runs; an older one that still says "running" was closed long ago
_TOLERANCE = 2.0  # seconds, between what two clocks say of when a process started


def this_process() -> dict[str, Any]:
    """Return what names this process for ever: a process id alone is given out again."""
    import psutil

    process = psutil.Process()
    return {"host": platform.node(), "pid": process.pid, "process_started": process.create_time()}


def close_abandoned(lineage: Lineage) -> None:
    """Record as crashed the runs that say "running" and whose process on this host is gone."""
    for run in lineage.runs(_LOOKED_AT):
        named = run.machine
        here = named.get("host") == platform.node()
        if run.state == "running" and here and not _alive(named["pid"], named["process_started"]):
            lineage.finish_run(
                run.id, "crashed", "its process ended without a word", current_clock().now()
            )


def _alive(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _TOLERANCE
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
