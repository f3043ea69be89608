"""This module writes and reads the frames of a segment: whole batches of checked records.

A frame is a header and a JSON payload. The header holds what the index needs (kind, a hash of the
id, when it was logged), so that a segment is indexed without parsing JSON, and `left`: how many
bytes of the same batch follow. A batch counts when all of it is there, so that what a failed
`write` left behind is never taken for an answer that was given.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from headrace.errors import DamagedArtifactError

DECISION, SHADOW, OUTCOME, COLUMNS = 1, 2, 3, 4
KINDS = {"decision": DECISION, "shadow": SHADOW, "outcome": OUTCOME}

# 0xFF occurs in no UTF-8 text, so a payload never contains the mark that a search looks for
_MARK = b"\xffHR"
_HEADER = struct.Struct("<3sBIIQq")  # mark, kind, length of payload, left, key, logged
_CHECK = struct.Struct("<I")
OVERHEAD = _HEADER.size + _CHECK.size
_CHUNK = 4 << 20
_PAGE = 4096


class Record(NamedTuple):
    """This record is ready to be written; `key` is the hash of its id, `logged` in us."""

    kind: int
    key: int
    logged: int
    payload: bytes


class Frame(NamedTuple):
    """This record was read from a segment, where it lies from `offset` to `end`."""

    kind: int
    key: int
    logged: int
    payload: bytes
    offset: int
    end: int


def key_of(text: str) -> int:
    """Return 64 bits that stand for an id in indexes; a reader compares the id itself."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def batch_of(records: Sequence[Record], start: int) -> tuple[bytes, list[int]]:
    """Return the bytes of a batch that will lie at `start`, and each record's offset."""
    left = sum(len(record.payload) for record in records) + OVERHEAD * len(records)
    parts: list[bytes] = []
    offsets: list[int] = []
    end = start + left
    for kind, key, logged, payload in records:
        offsets.append(end - left)
        left -= OVERHEAD + len(payload)
        header = _HEADER.pack(_MARK, kind, len(payload), left, key, logged)
        parts += (header, _CHECK.pack(crc32(payload, crc32(header))), payload)
    return b"".join(parts), offsets


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
    offset, wanted = start, _CHUNK
    while offset < size:
        asked = min(wanted, size - offset)
        buffer = os.pread(fd, asked, offset)
        at, needed = 0, OVERHEAD
        while at + needed <= len(buffer):
            frame = _frame_at(buffer, at, offset, size)
            if not isinstance(frame, Frame):
                needed = frame
                if not needed:
                    break
                continue
            yield frame
            at, needed = frame.end - offset, OVERHEAD
        offset += at
        wanted = max(_CHUNK, needed)
        unreadable = not needed or (offset < size < offset + needed)
        if unreadable and not _became_whole(fd, path, offset, size, sealed=sealed):
            return
        if not at and len(buffer) < asked:  # the file was cut while it was read
            if sealed:
                raise damaged(path, offset)
            return


def read_frame(fd: int, path: Path, offset: int) -> Frame:
    """Read the one record at `offset`.

    Raises:
        DamagedArtifactError: No whole record lies there.
    """
    buffer = os.pread(fd, _PAGE, offset)
    frame = _frame_at(buffer, 0, offset, None) if len(buffer) >= OVERHEAD else 0
    if not isinstance(frame, Frame) and frame > len(buffer):
        buffer = os.pread(fd, frame, offset)
        frame = _frame_at(buffer, 0, offset, None) if len(buffer) == frame else 0
    if not isinstance(frame, Frame):
        raise damaged(path, offset)
    return frame


def damaged(path: Path, offset: int) -> DamagedArtifactError:
    """Return the error for a place of a segment where a whole record should lie."""
    return DamagedArtifactError(
        f"The decision log '{path}' is damaged at byte {offset}: no whole record lies there.",
        remedy="Restore the file from a copy, or move it and its '.idx' out of the folder, which "
        "gives up its records.",
    )


def _frame_at(buffer: bytes, at: int, base: int, size: int | None) -> Frame | int:
    """Return the frame at `at`, how many bytes must be read to see it whole, or 0 for none."""
    mark: bytes
    kind: int
    length: int
    left: int
    key: int
    logged: int
    mark, kind, length, left, key, logged = _HEADER.unpack_from(buffer, at)
    end = at + OVERHEAD + length
    if mark != _MARK or (size is not None and base + end + left > size):
        return 0
    if end > len(buffer):
        return OVERHEAD + length
    begin = at + OVERHEAD
    payload = buffer[begin:end]
    check = crc32(payload, crc32(buffer[at : at + _HEADER.size]))
    if check != _CHECK.unpack_from(buffer, at + _HEADER.size)[0]:
        return 0
    return Frame(kind, key, logged, payload, base + at, base + end)


def _became_whole(fd: int, path: Path, offset: int, size: int, *, sealed: bool) -> bool:
    """Say whether the frame at `offset` is whole when read again; if not, whether that is damage.

    A writer that takes back a failed batch and writes another may be seen between the two.
    """
    rest = os.pread(fd, size - offset, offset)
    if _is_whole(rest, 0):
        return True
    found = rest.find(_MARK, 1)
    while found >= 0:
        if _is_whole(rest, found):
            raise damaged(path, offset)
        found = rest.find(_MARK, found + 1)
    if sealed:
        raise damaged(path, offset)
    return False


def _is_whole(buffer: bytes, at: int) -> bool:
    room = len(buffer) - at
    return room >= OVERHEAD and isinstance(_frame_at(buffer, at, 0, len(buffer)), Frame)
