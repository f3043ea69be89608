"""This module holds what a segment contains, and keeps it in a file beside a sealed one.

The file saves reading the segment again when the log is opened. It is derived: a missing or damaged
one is made anew.
"""

from __future__ import annotations

import os
import struct
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from headrace.decisions.frames import DECISION, OUTCOME, SHADOW, Frame

_MARK = b"headrace"
_HEADER = struct.Struct("<8sQQQQq")  # mark, size, decisions, outcomes, shadows, newest
_CHECKS = struct.Struct("<II")  # of the header, of the rest


@dataclass(kw_only=True)
class Entries:
    """These are the records of one kind, in the segment's order: key, offset, when logged."""

    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("I"))
    logged: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(kw_only=True)
class Tally:
    """These are the numbers of a segment: its bytes, its records, the newest `logged` in us."""

    size: int = 0
    decisions: int = 0
    outcomes: int = 0
    shadows: int = 0
    newest: int = -(1 << 63)


class Inventory:
    """This is what a segment contains: its numbers, and where decisions and outcomes lie."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self.decisions = Entries()
        self.outcomes = Entries()

    def note(self, kind: int, key: int, logged: int, offset: int) -> None:
        """Add a record that was written or read."""
        tally = self.tally
        if kind == DECISION:
            entries = self.decisions
            tally.decisions += 1
        elif kind == OUTCOME:
            entries = self.outcomes
            tally.outcomes += 1
        else:
            if kind == SHADOW:
                tally.shadows += 1
                tally.newest = max(tally.newest, logged)
            return
        entries.keys.append(key)
        entries.offsets.append(offset)
        entries.logged.append(logged)
        tally.newest = max(tally.newest, logged)

    def note_frame(self, frame: Frame) -> None:
        """Add a record that was read, and what it takes of the file."""
        self.note(frame.kind, frame.key, frame.logged, frame.offset)
        self.tally.size = frame.end


def write_inventory(path: Path, inventory: Inventory) -> None:
    """Write the file of a segment that will not grow any more, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    arrays = (
        values
        for entries in (inventory.decisions, inventory.outcomes)
        for values in (entries.keys, entries.logged, entries.offsets)
    )
    body = b"".join(values.tobytes() for values in arrays)
    tally = inventory.tally
    header = _HEADER.pack(
        _MARK, tally.size, tally.decisions, tally.outcomes, tally.shadows, tally.newest
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(header + _CHECKS.pack(crc32(header), crc32(body)) + body)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_tally(path: Path) -> Tally | None:
    """Return the numbers of a sealed segment, or None when its file is missing or damaged."""
    try:
        with path.open("rb") as file:
            read = _tally(file.read(_HEADER.size + _CHECKS.size))
    except FileNotFoundError:
        return None
    return read[0] if read else None


def read_inventory(path: Path) -> Inventory | None:
    """Return what a sealed segment contains, or None when its file is missing or damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    read = _tally(content)
    body = memoryview(content)[_HEADER.size + _CHECKS.size :]
    if not read or crc32(body) != read[1]:
        return None
    inventory = Inventory(read[0])
    at = 0
    for entries, count in (
        (inventory.decisions, read[0].decisions),
        (inventory.outcomes, read[0].outcomes),
    ):
        for values in (entries.keys, entries.logged, entries.offsets):
            size = count * values.itemsize
            values.frombytes(body[at : at + size])
            at += size
    return inventory


def _tally(content: bytes) -> tuple[Tally, int] | None:
    if len(content) < _HEADER.size + _CHECKS.size:
        return None
    mark, size, decisions, outcomes, shadows, newest = _HEADER.unpack_from(content)
    check, rest = _CHECKS.unpack_from(content, _HEADER.size)
    if mark != _MARK or crc32(content[: _HEADER.size]) != check:
        return None
    tally = Tally(size=size, decisions=decisions, outcomes=outcomes, shadows=shadows, newest=newest)
    return tally, rest
