"""This module holds where the files of a log lie, and what is said when one cannot be written."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from headrace.decisions.inventory import read_tally
from headrace.errors import ServiceError

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


class LogBusyError(LogWriteError):
    """This decision log has a slow disk: so much waits for it that nothing more is taken."""


_REMEDIES = {
    errno.ENOSPC: "Free room on that disk; the next record is logged as soon as there is some.",
    errno.EDQUOT: "Free room in that quota; the next record is logged as soon as there is some.",
    errno.EFBIG: "Raise the limit on the size of a file (`ulimit -f`), or use smaller segments.",
}


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk.

    Raises:
        OSError: The disk says no.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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

    def prepare(self, *, durable: bool = False) -> None:
        """Make the folder; where it is to be `durable`, its name is on the disk afterwards.

        Raises:
            LogWriteError: It cannot be made.
        """
        try:
            self.segments.mkdir(parents=True, exist_ok=True)
            if durable:
                sync(self.path)
                sync(self.path.parent)
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
