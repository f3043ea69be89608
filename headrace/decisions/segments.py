"""This module holds the files of a log: their names, who may write them, and how they are sealed.

A segment is written by the one process that holds its lock. It is sealed when an inventory lies
beside it: by its writer when it is full or closed, or by whoever finds that its writer is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.decisions.frames import read_frames
from headrace.decisions.inventory import Inventory, read_inventory, read_tally, write_inventory
from headrace.errors import DamagedArtifactError, ParameterError, ServiceError

_WRITER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SEGMENT = re.compile(r"(?P<writer>.+)-(?P<number>[0-9]+)\.log")


class LogWriteError(ServiceError):
    """This decision log could not take a record; nothing of the batch was logged."""

    @classmethod
    def of(cls, path: Path, error: OSError) -> LogWriteError:
        """Build the error for a file that cannot be written."""
        return cls(
            f"The decision log cannot write '{path}': {os.strerror(error.errno or errno.EIO)}. "
            "Nothing of the batch was logged.",
            remedy=_REMEDIES.get(
                error.errno or 0, "Look at the disk and at who may write there, then try again."
            ),
        )


_REMEDIES = {
    errno.ENOSPC: "Free room on that disk; the next record is logged as soon as there is some.",
    errno.EDQUOT: "Free room in that quota; the next record is logged as soon as there is some.",
    errno.EFBIG: "Raise the limit on the size of a file (`ulimit -f`), or use smaller segments.",
}


@dataclass(frozen=True)
class LogFolder:
    """This is the folder of one endpoint's log."""

    path: Path

    @property
    def segments(self) -> Path:
        """The folder of the segments."""
        return self.path / "segments"

    def log(self, name: str) -> Path:
        """Return the file of a segment."""
        return self.segments / f"{name}.log"

    def idx(self, name: str) -> Path:
        """Return the inventory of a segment; it exists when the segment is sealed."""
        return self.segments / f"{name}.idx"

    def parquet(self, kind: str, name: str) -> Path:
        """Return the file that a segment's records of a kind ("decisions") are compacted to."""
        return self.path / "parquet" / kind / f"{name}.parquet"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            LogWriteError: It cannot be made.
        """
        try:
            self.segments.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogWriteError.of(self.segments, error) from error

    def names(self) -> list[str]:
        """Return the names of the segments, a writer's older ones first."""
        try:
            files = os.listdir(self.segments)
        except FileNotFoundError:
            return []
        found = [match for file in files if (match := _SEGMENT.fullmatch(file))]
        found.sort(key=lambda match: (int(match["number"]), match["writer"]))
        return [match[0].removesuffix(".log") for match in found]

    def sealed_size(self, name: str) -> int | None:
        """Return how long a sealed segment is, or None for one that may still grow."""
        tally = read_tally(self.idx(name))
        return tally.size if tally else None


class Births:
    """This file grows by a byte for each new segment: a follower need not list the folder.

    Args:
        folder: The prepared folder of the log.

    Raises:
        LogWriteError: The file cannot be opened.
    """

    def __init__(self, folder: LogFolder) -> None:
        self.path = folder.segments / "births"
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise LogWriteError.of(self.path, error) from error

    def count(self) -> int:
        """Return how many segments were announced."""
        return os.fstat(self._fd).st_size

    def announce(self) -> None:
        """Tell of one more segment."""
        os.write(self._fd, b".")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def checked_writer(writer: str) -> str:
    """Return the name of a writer, which becomes part of file names.

    Raises:
        ParameterError: It holds what a file name should not.
    """
    if not _WRITER.fullmatch(writer):
        raise ParameterError(
            f"The writer of a decision log is named {writer!r}.",
            remedy="Use 1 to 100 letters, digits, '_', '.' and '-', for example 'lane'.",
        )
    return writer


def create_segment(folder: LogFolder, writer: str, births: Births) -> tuple[str, int]:
    """Make a segment that was never there before, lock it, announce it; return name and file.

    Raises:
        OSError: It cannot be made; nothing is left.
    """
    number = births.count()
    while True:
        number += 1
        name = f"{writer}-{number}"
        path = folder.log(name)
        if folder.parquet("decisions", name).exists():
            continue  # a segment of that name was compacted and removed
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            continue
        # Somebody who seals may take the empty file for a dead writer's, lock it and remove it.
        if try_lock(fd) and os.fstat(fd).st_nlink:
            break
        os.close(fd)
    try:
        births.announce()
    except OSError:
        path.unlink(missing_ok=True)
        os.close(fd)
        raise
    return name, fd


def try_lock(fd: int) -> bool:
    """Take the lock of a file if nobody has it; it is released when `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
            remedy="Restore the file from a copy, or move it and its '.idx' out of the folder, "
            "which gives up its records.",
        )
