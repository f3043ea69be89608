"""This module follows a log from outside: decisions as they come, from where one stopped reading.

What reads the log instead of being called can never delay or fail an answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson

from headrace.decisions.folder import LogFolder
from headrace.decisions.following import Followed
from headrace.decisions.frames import COLUMNS, DECISION
from headrace.decisions.position import Position
from headrace.decisions.segments import Births
from headrace.errors import ParameterError


class Tail:
    """This reads the decisions of all writers that it did not read before."""

    def __init__(self, folder: LogFolder, after: Position) -> None:
        self._folder = folder
        self._births = Births(folder)
        self._born = -1
        self._offsets = dict(after.offsets)
        self._listed: set[str] = set()
        self._waiting: deque[str] = deque()
        self._open: list[Followed] = []
        self._columns: dict[int, tuple[str, ...]] = {}

    @classmethod
    def open(cls, folder: Path, after: Position | None = None) -> Self:
        """Open the log in `folder` for reading.

        Args:
            folder: The folder of the endpoint; made if there is none.
            after: Where an earlier reader stopped; None reads from the oldest segment that is kept.

        Raises:
            LogWriteError: There is no folder, and it cannot be made.
        """
        files = LogFolder(Path(folder))
        files.prepare()
        return cls(files, after or Position())

    @property
    def position(self) -> Position:
        """The place up to which everything was read."""
        return Position(dict(self._offsets))

    def poll(self, limit: int = 1000) -> list[tuple[Position, dict[str, Any]]]:
        """Return up to `limit` decisions that were not returned before, in their segments' order.

        Returns:
            Each decision, with the position to go on from once it is dealt with.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        found: list[tuple[Position, dict[str, Any]]] = []
        for segment in self._readable():
            for frame in segment.frames():
                self._offsets[segment.name] = frame.end
                if frame.kind == COLUMNS:
                    self._learn(frame.payload)
                elif frame.kind == DECISION:
                    document = orjson.loads(frame.payload)
                    if document["columns"] not in self._columns:
                        self._learn_before(segment, frame.offset)
                    found.append((self.position, document))
                    if len(found) >= limit:
                        return found
        return found

    def skip_to_newest(self) -> int:
        """Pass over all decisions that are there, and return how many they were.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        skipped = 0
        for segment in self._readable():
            for frame in segment.frames():
                self._offsets[segment.name] = frame.end
                skipped += frame.kind == DECISION
                if frame.kind == COLUMNS:
                    self._learn(frame.payload)
        return skipped

    def names(self, columns: int) -> tuple[str, ...]:
        """Return the names of the features of a decision that was read, by its `columns`.

        Raises:
            ParameterError: No decision that was read has these columns.
        """
        if columns not in self._columns:
            raise ParameterError(
                f"No decision that was read has columns {columns}.",
                remedy="Ask for the `columns` of a decision that `poll` returned.",
            )
        return self._columns[columns]

    def close(self) -> None:
        """Close the files."""
        for each in self._open:
            each.close()
        self._open.clear()
        self._births.close()

    def _readable(self) -> Iterator[Followed]:
        """Yield the segments that may have something new; those that are done are closed."""
        born = self._births.count()
        if born != self._born:
            self._list()
            self._born = born
        for segment in list(self._open):
            yield segment
            if segment.finished():
                segment.close()
                self._open.remove(segment)
        while self._waiting:
            name = self._waiting.popleft()
            try:
                segment = Followed(self._folder, name, self._offsets.get(name, 0))
            except FileNotFoundError:  # compacted and removed
                continue
            self._open.append(segment)
            yield segment
            if segment.finished():
                segment.close()
                self._open.remove(segment)

    def _list(self) -> None:
        there = self._folder.names()
        self._waiting.extend(name for name in there if name not in self._listed)
        self._listed = set(there)
        # A name is never given again, so what was removed need not be remembered.
        self._offsets = {name: at for name, at in self._offsets.items() if name in self._listed}

    def _learn(self, payload: bytes) -> None:
        document = orjson.loads(payload)
        self._columns[document["id"]] = tuple(document["names"])

    def _learn_before(self, segment: Followed, end: int) -> None:
        """Look for columns in what an earlier reader of the segment has read."""
        for frame in segment.frames_until(end):
            if frame.kind == COLUMNS:
                self._learn(frame.payload)
