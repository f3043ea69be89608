"""This module reads the segments of others: while they are written, and one record at a place."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator

from headrace.decisions.folder import LogFolder
from headrace.decisions.frames import Frame
from headrace.decisions.reading import read_chunks, read_frame, read_frames
from headrace.decisions.sealing import check_size


class Followed:
    """This is a segment that is read as it grows.

    Args:
        folder: The folder of the log.
        name: The segment.
        offset: Where to begin, between two records.

    Raises:
        FileNotFoundError: There is no such segment any more.
    """

    def __init__(self, folder: LogFolder, name: str, offset: int = 0) -> None:
        self.name = name
        self.offset = offset
        self._folder = folder
        self._path = folder.log(name)
        self._fd = os.open(self._path, os.O_RDONLY)
        self._seen = offset
        self._final: int | None = None

    def frames(self) -> Iterator[Frame]:
        """Yield the records that were not read before; whoever stops early may go on later.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        for frames in self.chunks():
            for frame in frames:
                self.offset = frame.end
                yield frame

    def chunks(self) -> Iterator[list[Frame]]:
        """Yield the records that were not read before, many at once.

        Whoever stops within a chunk says by `offset` how far it came.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        size = os.fstat(self._fd).st_size
        if size == self._seen:
            return
        sealed = self._final is not None
        yield from read_chunks(self._fd, self._path, self.offset, size, sealed=sealed)
        if self.offset == size:  # else an end is torn: what takes its place may be as long
            self._seen = size

    def frames_until(self, end: int) -> Iterator[Frame]:
        """Yield again the records from the segment's begin to `end`.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        size = os.fstat(self._fd).st_size  # a batch may go on after `end`
        for frame in read_frames(self._fd, self._path, 0, size, sealed=False):
            if frame.offset >= end:
                return
            yield frame

    def finished(self) -> bool:
        """Say whether all is read and no more will come.

        Raises:
            DamagedArtifactError: It is not as long as when it was sealed.
        """
        if self._final is None:
            self._final = self._folder.sealed_size(self.name)
            if self._final is not None:
                check_size(self._path, self._final, os.fstat(self._fd).st_size)
        return self._final is not None and self.offset >= self._final

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Records:
    """This reads single records, and keeps the files open that it read last."""

    def __init__(self, folder: LogFolder, keep: int = 64) -> None:
        self._folder = folder
        self._keep = keep
        self._open: OrderedDict[str, int] = OrderedDict()

    def read(self, name: str, offset: int) -> Frame | None:
        """Return the record at a place, or None when the segment is no more.

        Raises:
            DamagedArtifactError: No whole record lies there.
        """
        fd = self._open.get(name)
        if fd is None:
            try:
                fd = os.open(self._folder.log(name), os.O_RDONLY)
            except FileNotFoundError:
                return None
            self._open[name] = fd
            if len(self._open) > self._keep:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(name)
        return read_frame(fd, self._folder.log(name), offset)

    def close(self) -> None:
        """Close the files."""
        while self._open:
            os.close(self._open.popitem()[1])
