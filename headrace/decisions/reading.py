"""This module reads the frames of a segment, and tells a torn end from a damaged middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headrace.decisions.frames import MARK, OVERHEAD, Frame, frame_at, frames_in
from headrace.errors import DamagedArtifactError

REMEDY = (
    "Restore the file from a copy, or run `headrace decisions repair` with the endpoint: it sets "
    "the damaged bytes aside, says what is lost with them, and the log opens again."
)
# what is read at once stays in the processor's cache while it is looked at
_CHUNK = 128 << 10
_PAGE = 4096


def read_frames(fd: int, path: Path, start: int, size: int, *, sealed: bool) -> Iterator[Frame]:
    """Read the whole batches that lie from `start` to `size`, in order.

    Args:
        fd: The open segment.
        path: Its name, for an error.
        start: Where a frame begins.
        size: Where to stop: how long the file is.
        sealed: Whether a whole record must lie at every place; otherwise an end that is torn, or
            still being written, is left alone.

    Raises:
        DamagedArtifactError: A record is damaged, and whole ones follow or the segment is sealed.
    """
    for frames in read_chunks(fd, path, start, size, sealed=sealed):
        yield from frames


def read_chunks(
    fd: int, path: Path, start: int, size: int, *, sealed: bool
) -> Iterator[list[Frame]]:
    """Read what `read_frames` does, as many records at once as one read of the file gave.

    Raises:
        DamagedArtifactError: As `read_frames`, after all records before the damage.
    """
    offset, wanted = start, _CHUNK
    while offset < size:
        asked = min(wanted, size - offset)
        buffer = os.pread(fd, asked, offset)
        frames, needed = frames_in(buffer, offset, size)
        if frames:
            yield frames
            offset = frames[-1].end
        wanted = max(_CHUNK, needed)
        unreadable = not needed or (offset < size < offset + needed)
        if unreadable and not _became_whole(fd, path, offset, size, sealed=sealed):
            return
        if not frames and len(buffer) < asked:  # the file was cut while it was read
            if sealed:
                raise damaged(path, offset)
            return


def read_frame(fd: int, path: Path, offset: int) -> Frame:
    """Read the one record at `offset`.

    Raises:
        DamagedArtifactError: No whole record lies there.
    """
    buffer = os.pread(fd, _PAGE, offset)
    frame = frame_at(buffer, 0, offset, None) if len(buffer) >= OVERHEAD else 0
    if not isinstance(frame, Frame) and frame > len(buffer):
        buffer = os.pread(fd, frame, offset)
        frame = frame_at(buffer, 0, offset, None) if len(buffer) == frame else 0
    if not isinstance(frame, Frame):
        raise damaged(path, offset)
    return frame


def damaged(path: Path, offset: int) -> DamagedArtifactError:
    """Return the error for a place of a segment where a whole record should lie."""
    return DamagedArtifactError(
        f"The decision log '{path}' is damaged at byte {offset}: no whole record lies there.",
        remedy=REMEDY,
    )


def _became_whole(fd: int, path: Path, offset: int, size: int, *, sealed: bool) -> bool:
    """Say whether the frame at `offset` is whole when read again; if not, whether that is damage.

    A writer that takes back a failed batch and writes another may be seen between the two.
    """
    rest = os.pread(fd, size - offset, offset)
    if is_whole(rest, 0):
        return True
    found = rest.find(MARK, 1)
    while found >= 0:
        if is_whole(rest, found):
            raise damaged(path, offset)
        found = rest.find(MARK, found + 1)
    if sealed:
        raise damaged(path, offset)
    return False


def is_whole(buffer: bytes, at: int) -> bool:
    """Say whether a whole record of a whole batch lies at a place."""
    room = len(buffer) - at
    return room >= OVERHEAD and isinstance(frame_at(buffer, at, 0, len(buffer)), Frame)
