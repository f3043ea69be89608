"""This module seals the segments of writers that are gone, and checks those that were sealed.

A segment is sealed when an inventory lies beside it: written by its writer when it is full or
closed, or by whoever finds that its writer is gone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from headrace.decisions.folder import LogFolder
from headrace.decisions.inventory import Inventory, read_inventory, read_tally, write_inventory
from headrace.decisions.reading import REMEDY, read_frames
from headrace.decisions.segments import try_lock
from headrace.errors import DamagedArtifactError


def seal(folder: LogFolder, name: str) -> Inventory | None:
    """Return what a sealed segment contains, sealing it if its writer is gone.

    A torn end, which no answer stands on, is cut off; a segment without records is removed.

    Returns:
        None for a segment that somebody writes, or that is no more.

    Raises:
        DamagedArtifactError: A record before the end is damaged.
    """
    path = folder.log(name)
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        tally = read_tally(folder.idx(name))
        if tally:
            check_size(path, tally.size, os.fstat(fd).st_size)
            inventory = read_inventory(folder.idx(name))
            if inventory:
                return inventory
        if not try_lock(fd) or not os.fstat(fd).st_nlink:
            return None
        size = os.fstat(fd).st_size
        inventory = Inventory()
        for frame in read_frames(fd, path, 0, size, sealed=tally is not None):
            inventory.note_frame(frame)
        if not inventory.tally.size:
            path.unlink(missing_ok=True)
            return None
        if inventory.tally.size < size:
            os.ftruncate(fd, inventory.tally.size)
        with suppress(OSError):  # no room: the next one to open the log tries again
            write_inventory(folder.idx(name), inventory)
        return inventory
    finally:
        os.close(fd)


def check_size(path: Path, sealed: int, size: int) -> None:
    """Refuse a segment that is shorter or longer than it was when it was sealed.

    Raises:
        DamagedArtifactError: It is.
    """
    if sealed != size:
        raise DamagedArtifactError(
            f"The decision log '{path}' has {size} bytes, but had {sealed} when it was sealed: "
            f"it is damaged from byte {min(size, sealed)}.",
            remedy=REMEDY,
        )
