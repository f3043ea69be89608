"""This module makes segments: files that the one process writes which holds their lock."""

from __future__ import annotations

import fcntl
import os
import re

from headrace.decisions.folder import LogFolder, LogWriteError
from headrace.errors import DamagedArtifactError, ParameterError

_WRITER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


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
    number = max(births.count(), highest_number(folder))
    while True:
        number += 1
        name = f"{writer}-{number}"
        path = folder.log(name)
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


def number_of(name: str) -> int:
    """Return the number that ends the name of a segment; 0 for another name."""
    end = name.rpartition("-")[2]
    return int(end) if end.isdecimal() else 0


def highest_number(folder: LogFolder) -> int:
    """Return a number up to which segments may have been compacted and removed."""
    from headrace.decisions.manifest import manifest_of

    try:
        manifest = manifest_of(folder)
    except DamagedArtifactError:  # whoever compacts or reads will say so; answers go on
        return 0
    return max([manifest.highest, *map(number_of, manifest.compacted)])


def try_lock(fd: int) -> bool:
    """Take the lock of a file if nobody has it; it is released when `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
