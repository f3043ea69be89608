"""This module lets a log open again whose segments are damaged, and says what is lost by that.

Damaged bytes are copied to a file of their own, and a record that says so takes exactly their
place: whoever had read on to some place in the segment goes on from there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from headrace.decisions.columns import Columns, columns_record
from headrace.decisions.folder import LogFolder, sync
from headrace.decisions.frames import (
    BATCH,
    COLUMNS,
    DECISION,
    LOST,
    MARK,
    OVERHEAD,
    Frame,
    Record,
    batch_of,
    frame_at,
)
from headrace.decisions.inventory import read_tally
from headrace.decisions.reading import is_whole
from headrace.decisions.segments import try_lock
from headrace.errors import ServiceError

_SAID = re.compile(rb'"kind":"(decision|batch|shadow|outcome)"|"id":"((?:[^"\\]|\\.){1,400})"')


@dataclass(frozen=True, kw_only=True)
class Damage:
    """These are bytes of a segment in which no whole record lies, with whole ones after them.

    Args:
        segment: The segment.
        start: Where they begin.
        end: Where they end; of a segment that was cut, how long it was.
        lost: What can still be read of the records: kind and id, empty where one cannot.
        is_cut: Whether the bytes are not there any more.
        aside: Where they were put; None before a repair.
    """

    segment: str
    start: int
    end: int
    lost: tuple[tuple[str, str], ...] = ()
    is_cut: bool = False
    aside: Path | None = None


@dataclass(kw_only=True)
class _Found:
    damages: list[tuple[int, int]] = field(default_factory=list)
    explained: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    end: int = 0  # of the last whole record


def damages_in(folder: Path) -> list[Damage]:
    """Return what is damaged in the segments of a log; nothing is changed.

    A torn end, which no answer stands on, is no damage.

    Args:
        folder: The folder of the endpoint.
    """
    files = LogFolder(Path(folder))
    return [each for name in files.names() for each in _damages(files, name, repaired=False)]


def repair(folder: Path) -> list[Damage]:
    """Set damaged bytes of a log aside, and return what is lost with them.

    Args:
        folder: The folder of the endpoint.

    Raises:
        ServiceError: A damaged segment is still being written, or the disk says no; what was set
            aside until then stays so.
    """
    files = LogFolder(Path(folder))
    try:
        return [each for name in files.names() for each in _damages(files, name, repaired=True)]
    except OSError as error:
        raise ServiceError(
            f"The decision log in '{folder}' cannot be repaired: {error.strerror}: "
            f"{error.filename or ''}",
            remedy="Look at the disk and at who may write there, then repair again.",
        ) from error


def _damages(folder: LogFolder, name: str, *, repaired: bool) -> list[Damage]:
    try:
        fd = os.open(folder.log(name), os.O_RDWR if repaired else os.O_RDONLY)
    except FileNotFoundError:  # compacted and removed since the listing
        return []
    try:
        content = _content(fd)
        found = _examined(content)
        tally = read_tally(folder.idx(name))
        damages = [
            Damage(segment=name, start=start, end=end, lost=_said(content[start:end]))
            for start, end in found.damages
        ]
        if tally is not None and tally.size > len(content):
            damages.append(Damage(segment=name, start=found.end, end=tally.size, is_cut=True))
        elif tally is not None and found.end < len(content):
            end = len(content)
            said = _said(content[found.end :])
            damages.append(Damage(segment=name, start=found.end, end=end, lost=said))
        if not damages or not repaired:
            return damages
        if not try_lock(fd):
            raise ServiceError(
                f"The segment '{folder.log(name)}' is damaged, and somebody writes it.",
                remedy="Stop the endpoint with `headrace down`, then repair its log.",
            )
        missing = _columns_of(folder, name, found.used - found.explained)
        done = [_set_aside(folder, each, content) for each in damages]
        for each in damages:
            _fill(fd, each, missing)
        os.fsync(fd)
        folder.idx(name).unlink(missing_ok=True)  # made again from what is there now
        return done
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    parts, at = [], 0
    while at < size and (part := os.pread(fd, size - at, at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _examined(content: bytes) -> _Found:
    """Return the ranges without a whole record that whole ones follow, and the columns in use."""
    found = _Found()
    at = 0
    while at + OVERHEAD <= len(content):
        frame = frame_at(content, at, 0, len(content))
        if isinstance(frame, Frame):
            _note(found, frame)
            at = frame.end
            continue
        after = _next_whole(content, at + 1)
        if after is None:
            break
        found.damages.append((at, after))
        at = after
    return found


def _next_whole(content: bytes, at: int) -> int | None:
    place = content.find(MARK, at)
    while place >= 0 and not is_whole(content, place):
        place = content.find(MARK, place + 1)
    return place if place >= 0 else None


def _note(found: _Found, frame: Frame) -> None:
    found.end = frame.end
    if frame.kind == COLUMNS:
        found.explained.add(frame.key)
    elif frame.kind in (DECISION, BATCH):
        number = orjson.loads(frame.payload).get("columns")
        if isinstance(number, int):
            found.used.add(number)


def _said(content: bytes) -> tuple[tuple[str, str], ...]:
    """Return kind and id of the records that damaged bytes seem to hold."""
    said: list[tuple[str, str]] = []
    kind = ""
    for match in _SAID.finditer(content):
        if match[1]:
            kind = match[1].decode()
        else:
            said.append((kind, match[2].decode("utf-8", "replace")))
            kind = ""
    return tuple(said)


def _columns_of(folder: LogFolder, name: str, numbers: set[int]) -> dict[int, Columns]:
    """Return the columns that a segment uses and no longer explains, from other segments."""
    found: dict[int, Columns] = {}
    for other in folder.names() if numbers else ():
        if other == name or found.keys() == numbers:
            continue
        for frame in _whole_frames(folder, other):
            if frame.kind == COLUMNS and frame.key in numbers:
                found[frame.key] = Columns.from_json(orjson.loads(frame.payload))
    return found


def _whole_frames(folder: LogFolder, name: str) -> Iterator[Frame]:
    try:
        content = folder.log(name).read_bytes()
    except FileNotFoundError:
        return
    at: int | None = 0
    while at is not None and at + OVERHEAD <= len(content):
        frame = frame_at(content, at, 0, len(content))
        if isinstance(frame, Frame):
            yield frame
            at = frame.end
        else:
            at = _next_whole(content, at + 1)


def _set_aside(folder: LogFolder, damage: Damage, content: bytes) -> Damage:
    """Copy damaged bytes to a file that says where they were; one that is there stays."""
    aside = folder.path / "set_aside"
    aside.mkdir(exist_ok=True)
    path = aside / f"{damage.segment}.{damage.start}-{damage.end}.bin"
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.write_bytes(b"" if damage.is_cut else content[damage.start : damage.end])
        sync(draft)
        draft.replace(path)
    sync(aside)
    return Damage(**{**vars(damage), "aside": path})


def _fill(fd: int, damage: Damage, missing: dict[int, Columns]) -> None:
    """Put records in the place of damaged bytes: columns that are missing, and one that is lost."""
    if damage.is_cut:
        os.ftruncate(fd, damage.start)
        return
    room = damage.end - damage.start
    if room < OVERHEAD:  # at the end: what is shorter than a record is cut off
        os.ftruncate(fd, damage.start)
        return
    records: list[Record] = []
    for number in list(missing):
        record = columns_record(number, missing[number])
        size = OVERHEAD + len(record.payload)
        if room - size >= OVERHEAD:
            records.append(record)
            room -= size
            del missing[number]
    records.append(Record(LOST, 0, 0, b" " * (room - OVERHEAD)))
    content = b"".join(_alone(records, damage.start))
    at = 0
    while at < len(content):
        at += os.pwrite(fd, content[at:], damage.start + at)


def _alone(records: Sequence[Record], start: int) -> Iterator[bytes]:
    for record in records:
        content, _ = batch_of([record], start)
        yield content
        start += len(content)
