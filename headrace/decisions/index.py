"""This module finds a decision or an outcome by its id, whichever process logged it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from headrace.decisions.batches import batch_and_row, decision_at, keys_in, place_in, rows_in
from headrace.decisions.columns import Columns
from headrace.decisions.folder import LogFolder
from headrace.decisions.following import Followed, Records
from headrace.decisions.frames import (
    BATCH,
    COLUMNS,
    DECISION,
    OUTCOME,
    SCORES,
    SHADOW,
    Frame,
    Record,
    key_of,
)
from headrace.decisions.inventory import Tally, read_tally
from headrace.decisions.loaded import Loaded, give_back_memory
from headrace.decisions.remembered import Remembered, place_of, segment_and_offset
from headrace.decisions.sealing import seal
from headrace.decisions.segments import Births

_MANY = 100_000


class _Found(NamedTuple):
    """This is a record that was found: when it was logged and where, which orders it."""

    logged: int
    segment: str
    offset: int
    document: dict[str, Any]


def _order(found: _Found) -> tuple[int, str, int]:
    return found[:3]


@dataclass(frozen=True, kw_only=True)
class Stats:
    """These are the numbers of a log's segments; what was compacted and removed is not counted."""

    decisions: int
    shadows: int
    outcomes: int
    bytes: int
    segments: int


class Index:
    """This finds records of all processes, dead or alive, and follows those that still write.

    Args:
        folder: The prepared folder of the log.
        births: Where new segments are announced.
        remember: A decision is found while fewer than `remember` others follow it, an outcome
            likewise.

    Raises:
        DamagedArtifactError: A segment is damaged.
    """

    def __init__(self, folder: LogFolder, births: Births, *, remember: int) -> None:
        self._folder = folder
        self._births = births
        self._remember = remember
        self._records = Records(folder)
        self._kinds = {DECISION: Remembered(remember), OUTCOME: Remembered(remember)}
        self._decisions = 0
        self._numbers: dict[str, int] = {}  # segment -> its number in places, from 1
        self._names: list[str] = [""]
        self._tallies: dict[str, Tally] = {}
        self._followed: list[Followed] = []
        self._born = -1
        self.columns: dict[int, Columns] = {}  # those that a record was seen of, or was told of
        self._load()

    def own(self, segment: str) -> int:
        """Return the number of a segment that is not to be followed, now or before it is seen."""
        number = self._numbers.get(segment)
        if number is None:
            number = self._numbers[segment] = len(self._names)
            self._names.append(segment)
        return number

    def add(
        self, segment: str, records: Sequence[Record], offsets: Sequence[int], end: int
    ) -> None:
        """Add what this process wrote itself."""
        number = self.own(segment)
        tally = self._tallies.get(segment)
        if tally is None:
            tally = self._tallies[segment] = Tally()
        for record, offset in zip(records, offsets, strict=True):
            self._add(record, place_of(number, offset), tally)
        tally.size = end

    def follow(self) -> None:
        """Take in what others wrote since.

        Raises:
            DamagedArtifactError: A record of theirs is damaged.
        """
        born = self._births.count()
        if born != self._born:
            self._born = born
            self._discover()
        for each in self._followed:
            number, tally = self._numbers[each.name], self._tallies[each.name]
            for frame in each.frames():
                self._add(frame, place_of(number, frame.offset), tally)
                tally.size = frame.end

    def find(self, kind: int, name: str) -> dict[str, Any] | None:
        """Return the first record of a kind with that id that was logged.

        Raises:
            DamagedArtifactError: What may be that record is damaged.
        """
        found = self._all(kind, name)
        return min(found, key=_order).document if found else None

    def find_all(self, kind: int, name: str) -> list[dict[str, Any]]:
        """Return all records of a kind with that id, in the order they were logged.

        Raises:
            DamagedArtifactError: What may be one of them is damaged.
        """
        return [each.document for each in sorted(self._all(kind, name), key=_order)]

    def find_decision(self, name: str) -> dict[str, Any] | None:
        """Return the first decision with that id that was logged, also one of a batch.

        Raises:
            DamagedArtifactError: What may be that record is damaged.
        """
        found = self._all(DECISION, name, or_in_batch=True)
        named = batch_and_row(name) if "/" in name else None
        if named is not None:
            found += self._all(BATCH, named[0])
        for each in sorted(found, key=_order):
            if each.document["kind"] == "decision":
                return each.document
            row = place_in(each.document, name)
            if row is not None:
                return decision_at(each.document, self._columns_of(each), row)
        return None

    def _all(self, kind: int, name: str, *, or_in_batch: bool = False) -> list[_Found]:
        """Return the records of a kind with an id; or also the batches that name it as a row's."""
        self.follow()
        try:
            key = key_of(name)
        except UnicodeEncodeError:  # half a character: no record has such an id
            return []
        found = []
        for place in self._kinds[OUTCOME if kind == OUTCOME else DECISION].places(key):
            number, offset = segment_and_offset(place)
            frame = self._records.read(self._names[number], offset)
            if frame is None or (frame.kind != kind and not (or_in_batch and frame.kind == BATCH)):
                continue
            document: dict[str, Any] = orjson.loads(frame.payload)
            if frame.kind != kind:
                is_it = name in document.get("ids", ())
            else:
                is_it = document["id"] == name
            if is_it:
                found.append(_Found(frame.logged, self._names[number], offset, document))
        return found

    def _columns_of(self, found: _Found) -> Columns:
        """Return the columns of a batch; another process may have told of them long ago."""
        number = found.document["columns"]
        if number not in self.columns:
            segment = Followed(self._folder, found.segment)
            try:
                for frame in segment.frames_until(found.offset):
                    if frame.kind == COLUMNS:
                        self._learn(frame.payload)
            finally:
                segment.close()
        return self.columns[number]

    def stats(self) -> Stats:
        """Return the numbers of the segments that there are."""
        self.follow()
        there = self._folder.names()
        known = [self._tallies[name] for name in there if name in self._tallies]
        return Stats(
            decisions=sum(each.decisions for each in known),
            shadows=sum(each.shadows for each in known),
            outcomes=sum(each.outcomes for each in known),
            bytes=sum(each.size for each in known),
            segments=len(known),
        )

    def close(self) -> None:
        """Close the files."""
        self._records.close()
        for each in self._followed:
            each.close()
        self._followed.clear()

    def _add(self, record: Record | Frame, place: int, tally: Tally) -> None:
        kind = record.kind
        if kind == DECISION:
            self._kinds[DECISION].add(record.key, place, self._decisions)
            self._decisions += 1
            tally.decisions += 1
        elif kind == OUTCOME:
            self._kinds[OUTCOME].add(record.key, place, self._decisions)
            tally.outcomes += 1
        elif kind == BATCH:
            for key in keys_in(record.key, record.payload):
                self._kinds[DECISION].add(key, place, self._decisions)
            rows = rows_in(record.payload)
            self._decisions += rows
            tally.decisions += rows
        elif kind == SHADOW:
            tally.shadows += 1
        elif kind == SCORES:
            tally.shadows += rows_in(record.payload)
        elif kind == COLUMNS and record.key not in self.columns:
            self._learn(record.payload)

    def _learn(self, payload: bytes) -> None:
        document = orjson.loads(payload)
        self.columns[document["id"]] = Columns.from_json(document)

    def _discover(self) -> None:
        for each in [each for each in self._followed if each.finished()]:
            each.close()
            self._followed.remove(each)
        for name in self._folder.names():
            if name not in self._numbers:
                try:
                    followed = Followed(self._folder, name)
                except FileNotFoundError:  # compacted and removed since the listing
                    continue
                self.own(name)
                self._tallies[name] = Tally()
                self._followed.append(followed)

    def _load(self) -> None:
        """Read the inventories of sealed segments, newest first, until enough is remembered."""
        for name in self._folder.names():
            tally = read_tally(self._folder.idx(name))
            if tally is None:
                inventory = seal(self._folder, name)
                tally = inventory.tally if inventory else None
            if tally:
                self._tallies[name] = tally
        loaded = Loaded(self._remember)
        for name in sorted(self._tallies, key=lambda each: -self._tallies[each].newest):
            number = self.own(name)
            if not loaded.enough(self._tallies[name].newest):
                inventory = seal(self._folder, name)
                if inventory:  # else it was compacted and removed since the listing
                    loaded.take(number, inventory)
        self._decisions = loaded.fill(self._kinds[DECISION], self._kinds[OUTCOME])
        if self._decisions >= _MANY:
            give_back_memory()
