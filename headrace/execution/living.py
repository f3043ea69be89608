"""This module tells whether a process that was written down still runs."""

from __future__ import annotations

import functools
import os

_TOLERANCE_SECONDS = 2.0  # between what two readings of the clock say of when a process started


def own_start() -> float:
    """Return when this process was started, in seconds since 1970; read once a process."""
    return _start_of(os.getpid())  # by its id, because a fork inherits what was read


@functools.lru_cache(maxsize=4)
def _start_of(pid: int) -> float:
    import psutil

    return float(psutil.Process(pid).create_time())


def is_alive(pid: int, started: float) -> bool:
    """Return whether a process runs; its id alone does not say so, as ids are given out again.

    Args:
        pid: Its id.
        started: When the operating system started it, in seconds since 1970.
    """
    import psutil

    if pid == os.getpid():
        return abs(own_start() - started) < _TOLERANCE_SECONDS
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
