"""This module lets a reader of Parquet files keep them while others merge or drop them.

A reader holds the lock of the version that it read by; the system releases it when the reader ends,
however that comes. Whoever removes files asks first whether a reader of an older version is left.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headrace.decisions.folder import LogFolder
from headrace.decisions.segments import try_lock


def take_lease(folder: LogFolder, version: int) -> int | None:
    """Keep the files of a version until the file that is returned is closed.

    Returns:
        None where nothing can be written: what is read there is then removed after its time.
    """
    path = _path(folder, version)
    try:
        path.parent.mkdir(exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        return None
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def oldest_read(folder: LogFolder, version: int) -> int:
    """Return the oldest version that somebody reads by, or the present `version`."""
    oldest = version
    for path in _path(folder, 0).parent.glob("*.lock"):
        if not path.stem.isdecimal() or int(path.stem) >= version:
            continue
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            if try_lock(fd):
                # one who opened it before it was removed sees that the version is no longer this
                path.unlink(missing_ok=True)
            else:
                oldest = min(oldest, int(path.stem))
        finally:
            os.close(fd)
    return oldest


def _path(folder: LogFolder, version: int) -> Path:
    return folder.path / "leases" / f"{version}.lock"
