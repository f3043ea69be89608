"""This module holds what a segment contains, and keeps it in a file beside a sealed one.

The file saves reading the segment again when the log is opened. It is derived: a missing or damaged
one is made anew.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from headrace.decisions.batches import keys_in, rows_in
from headrace.decisions.frames import BATCH, COLUMNS, DECISION, LOST, OUTCOME, SCORES, Frame, Record

_MARK = b"headrace"
_HEADER = struct.Struct("<8sQQQQq")  # mark, size, decisions, outcomes, shadows, newest
# Of a segment with batches: before it, how many entries they have and how many decisions they hold.
_MARK_OF_BATCHES = b"headracb"
_BATCHES = struct.Struct("<8sQQ")
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
    """These are the numbers of a segment: its bytes, its records, the newest `logged` in us.

    Of the decisions, `batched` came in batches, which have `entries`: one, and one for each id.
    """

    size: int = 0
    decisions: int = 0
    outcomes: int = 0
    shadows: int = 0
    newest: int = -(1 << 63)
    batched: int = 0
    entries: int = 0


class Inventory:
    """This is what a segment contains: its numbers, and where decisions and outcomes lie."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self.decisions = Entries()
        self.outcomes = Entries()
        self.batches = Entries()
        self.rows: array[int] = array("I")  # of each entry of `batches`, 0 for one of an id

    def note(self, record: Record | Frame, offset: int) -> None:
        """Add a record that was written or read."""
        kind, tally, logged = record.kind, self.tally, record.logged
        if kind in (COLUMNS, LOST):
            return
        tally.newest = max(tally.newest, logged)
        if kind == DECISION:
            entries = self.decisions
            tally.decisions += 1
        elif kind == OUTCOME:
            entries = self.outcomes
            tally.outcomes += 1
        elif kind == BATCH:
            self._note_batch(record, offset)
            return
        else:
            tally.shadows += rows_in(record.payload) if kind == SCORES else 1
            return
        entries.keys.append(record.key)
        entries.offsets.append(offset)
        entries.logged.append(logged)

    def note_frame(self, frame: Frame) -> None:
        """Add a record that was read, and what it takes of the file."""
        self.note(frame, frame.offset)
        self.tally.size = frame.end

    def _note_batch(self, record: Record | Frame, offset: int) -> None:
        keys, rows = keys_in(record.key, record.payload), rows_in(record.payload)
        many, tally = len(keys), self.tally
        self.batches.keys.extend(keys)
        self.batches.offsets.extend([offset] * many)
        self.batches.logged.extend([record.logged] * many)
        self.rows.extend([rows] + [0] * (many - 1))
        tally.entries += many
        tally.batched += rows
        tally.decisions += rows


def write_inventory(path: Path, inventory: Inventory) -> None:
    """Write the file of a segment that will not grow any more, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    body = b"".join(values.tobytes() for _, values in _arrays(inventory))
    tally = inventory.tally
    header = _HEADER.pack(
        _MARK, tally.size, tally.decisions, tally.outcomes, tally.shadows, tally.newest
    )
    if tally.entries:
        header = _BATCHES.pack(_MARK_OF_BATCHES, tally.entries, tally.batched) + header
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
            read = _tally(file.read(_LONGEST_HEAD))
    except FileNotFoundError:
        return None
    return read.tally if read else None


def read_inventory(path: Path) -> Inventory | None:
    """Return what a sealed segment contains, or None when its file is missing or damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    read = _tally(content)
    if read is None:
        return None
    body = memoryview(content)[read.end :]
    if crc32(body) != read.check:
        return None
    inventory = Inventory(read.tally)
    at = 0
    for count, values in _arrays(inventory):
        size = count * values.itemsize
        values.frombytes(body[at : at + size])
        at += size
    return inventory


class _Read(NamedTuple):
    """This is the head of an inventory: its numbers, where it ends, the checksum of the rest."""

    tally: Tally
    end: int
    check: int


_LONGEST_HEAD = _BATCHES.size + _HEADER.size + _CHECKS.size


def _arrays(inventory: Inventory) -> Iterator[tuple[int, array[int]]]:
    """Yield the arrays of an inventory as they lie in its file, with how long they are."""
    tally = inventory.tally
    for count, entries in (
        (tally.decisions - tally.batched, inventory.decisions),
        (tally.outcomes, inventory.outcomes),
        (tally.entries, inventory.batches),
    ):
        for values in (entries.keys, entries.logged, entries.offsets):
            yield count, values
    yield tally.entries, inventory.rows


def _tally(content: bytes) -> _Read | None:
    at, entries, batched = 0, 0, 0
    if content[:8] == _MARK_OF_BATCHES and len(content) >= _BATCHES.size:
        _, entries, batched = _BATCHES.unpack_from(content)
        at = _BATCHES.size
    end = at + _HEADER.size
    if len(content) < end + _CHECKS.size:
        return None
    mark, size, decisions, outcomes, shadows, newest = _HEADER.unpack_from(content, at)
    check, rest = _CHECKS.unpack_from(content, end)
    if mark != _MARK or crc32(content[:end]) != check:
        return None
    tally = Tally(
        size=size,
        decisions=decisions,
        outcomes=outcomes,
        shadows=shadows,
        newest=newest,
        batched=batched,
        entries=entries,
    )
    return _Read(tally, end + _CHECKS.size, rest)
