"""This module closes the records of runs whose process ended without a word."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.execution.living import is_alive

if TYPE_CHECKING:
    from headrace.lineage import Lineage, RunRecord

LOST = "its process ended without a word"


def this_process() -> dict[str, Any]:
    """Return what names this process for ever: a process id alone is given out again."""
    import psutil

    process = psutil.Process()
    return {"host": platform.node(), "pid": process.pid, "process_started": process.create_time()}


def close_abandoned(lineage: Lineage) -> tuple[str, ...]:
    """Record as crashed the runs that say "running" and whose process on this host is gone.

    Returns:
        Their ids.
    """
    closed = []
    for run in lineage.running():
        if is_lost(run):
            lineage.finish_run(run.id, "crashed", LOST, current_clock().now())
            closed.append(run.id)
    return tuple(closed)


def is_lost(run: RunRecord) -> bool:
    """Say whether the process that last carried out a run was on this host and is gone."""
    named = run.machine
    return named.get("host") == platform.node() and not is_alive(
        named["pid"], named["process_started"]
    )
