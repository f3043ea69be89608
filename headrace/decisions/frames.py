"""This module lays out the frames of a segment: batches of checked records.

A frame is a header and a JSON payload. The header holds what the index needs (kind, a hash of the
id, when it was logged), so that a segment is indexed without parsing JSON, and `left`: how many
bytes of the same batch follow. A batch counts when all of it is there, so that what a failed
`write` left behind is never taken for an answer that was given.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

DECISION, SHADOW, OUTCOME, COLUMNS, BATCH, LOST, SCORES = 1, 2, 3, 4, 5, 6, 7
KINDS = {
    "decision": DECISION,
    "shadow": SHADOW,
    "outcome": OUTCOME,
    "batch": BATCH,
    "scores": SCORES,
}

# 0xFF occurs in no UTF-8 text, so a payload never contains the mark that a search looks for
MARK = b"\xffHR"
_HEADER = struct.Struct("<3sBIIQq")  # mark, kind, length of payload, left, key, logged
_CHECK = struct.Struct("<I")
_CHECKED = struct.Struct(_HEADER.format + "I")
OVERHEAD = _CHECKED.size
_UNCHECKED = _HEADER.size
_unpack = _CHECKED.unpack_from
_frame = tuple.__new__  # a third of the time of `Frame(...)`


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
        header = _HEADER.pack(MARK, kind, len(payload), left, key, logged)
        parts += (header, _CHECK.pack(crc32(payload, crc32(header))), payload)
    return b"".join(parts), offsets


def frame_at(buffer: bytes, at: int, base: int, size: int | None) -> Frame | int:
    """Return the frame at `at`, how many bytes must be read to see it whole, or 0 for none."""
    mark: bytes
    kind: int
    length: int
    left: int
    key: int
    logged: int
    mark, kind, length, left, key, logged, check = _CHECKED.unpack_from(buffer, at)
    begin = at + OVERHEAD
    end = begin + length
    if mark != MARK or (size is not None and base + end + left > size):
        return 0
    if end > len(buffer):
        return OVERHEAD + length
    payload = buffer[begin:end]
    if check != crc32(payload, crc32(buffer[at : at + _UNCHECKED])):
        return 0
    return _frame(Frame, (kind, key, logged, payload, base + at, base + end))


def frames_in(buffer: bytes, base: int, size: int) -> tuple[list[Frame], int]:
    """Return the frames that lie one after the other from a buffer's begin, as `frame_at` each.

    It takes half of the time of as many calls of `frame_at`.

    Args:
        buffer: What was read.
        base: Where in the file it begins.
        size: How long the file is.

    Returns:
        The frames, and what `frame_at` says of the place after them; `OVERHEAD` where the buffer
        has ended before its header has.
    """
    frames: list[Frame] = []
    at, length, room = 0, len(buffer), size - base
    while at + OVERHEAD <= length:
        mark, kind, count, left, key, logged, check = _unpack(buffer, at)
        begin = at + OVERHEAD
        end = begin + count
        if mark != MARK or end + left > room:
            return frames, 0
        if end > length:
            return frames, OVERHEAD + count
        payload = buffer[begin:end]
        if check != crc32(payload, crc32(buffer[at : at + _UNCHECKED])):
            return frames, 0
        frames.append(_frame(Frame, (kind, key, logged, payload, base + at, base + end)))
        at = end
    return frames, OVERHEAD
