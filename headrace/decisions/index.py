"""This module finds a decision or an outcome by its id, whichever process logged it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from headrace.decisions.folder import LogFolder
from headrace.decisions.following import Followed, Records
from headrace.decisions.frames import COLUMNS, DECISION, OUTCOME, Record, key_of
from headrace.decisions.inventory import Tally, read_tally
from headrace.decisions.loaded import Loaded, give_back_memory
from headrace.decisions.remembered import Remembered, place_of, segment_and_offset
from headrace.decisions.sealing import seal
from headrace.decisions.segments import Births

_MANY = 100_000


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
        tally = self._tallies.setdefault(segment, Tally())
        for (kind, key, _, _), offset in zip(records, offsets, strict=True):
            self._add(kind, key, place_of(number, offset), tally)
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
            for kind, key, _, _, offset, end in each.frames():
                self._add(kind, key, place_of(number, offset), tally)
                tally.size = end

    def find(self, kind: int, name: str) -> dict[str, Any] | None:
        """Return the first record of a kind with that id that was logged.

        Raises:
            DamagedArtifactError: What may be that record is damaged.
        """
        self.follow()
        try:
            key = key_of(name)
        except UnicodeEncodeError:  # half a character: no record has such an id
            return None
        first: tuple[int, str, int] | None = None
        found: dict[str, Any] | None = None
        for place in self._kinds[kind].places(key):
            number, offset = segment_and_offset(place)
            frame = self._records.read(self._names[number], offset)
            if frame is None or frame.kind != kind:
                continue
            order = frame.logged, self._names[number], offset
            document: dict[str, Any] = orjson.loads(frame.payload)
            if document["id"] == name and (first is None or order < first):
                first, found = order, document
        return found

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

    def _add(self, kind: int, key: int, place: int, tally: Tally) -> None:
        if kind == DECISION:
            self._kinds[DECISION].add(key, place, self._decisions)
            self._decisions += 1
            tally.decisions += 1
        elif kind == OUTCOME:
            self._kinds[OUTCOME].add(key, place, self._decisions)
            tally.outcomes += 1
        else:
            tally.shadows += kind != COLUMNS

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
