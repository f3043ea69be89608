"""This module follows a log from outside: decisions as they come, from where one stopped reading.

What reads the log instead of being called can never delay or fail an answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from headrace.decisions.batches import decisions_of, rows_in, shadows_of
from headrace.decisions.columns import Columns
from headrace.decisions.documents import parsed
from headrace.decisions.folder import LogFolder
from headrace.decisions.following import Followed
from headrace.decisions.frames import (
    BATCH,
    COLUMNS,
    DECISION,
    KINDS,
    OUTCOME,
    SCORES,
    SHADOW,
    Frame,
)
from headrace.decisions.position import Position
from headrace.decisions.segments import Births
from headrace.errors import ParameterError

_MANY = (BATCH, SCORES)


class Tail:
    """This reads the decisions of all writers that it did not read before."""

    def __init__(
        self,
        folder: LogFolder,
        after: Position,
        kinds: Sequence[str] = ("decision",),
        holding: bytes = b"",
    ) -> None:
        self._folder = folder
        self._births = Births(folder)
        self._born = -1
        self._offsets = dict(after.offsets)
        self._listed: set[str] = set()
        self._waiting: deque[str] = deque()
        self._open: list[Followed] = []
        self._columns: dict[int, Columns] = {}
        self._passed: dict[str, int] = {}  # by the last `poll_payloads`; segment: up to where
        self._kinds = {KINDS[kind] for kind in kinds}
        if DECISION in self._kinds:
            self._kinds.add(BATCH)
        if SHADOW in self._kinds:
            self._kinds.add(SCORES)
        self._holding = holding

    @classmethod
    def open(
        cls,
        folder: Path,
        after: Position | None = None,
        *,
        kinds: Sequence[Literal["decision", "outcome", "shadow"]] = ("decision",),
        holding: bytes = b"",
    ) -> Self:
        """Open the log in `folder` for reading.

        Args:
            folder: The folder of the endpoint; made if there is none.
            after: Where an earlier reader stopped; None reads from the oldest segment that is kept.
            kinds: Which records are read; the rows of a batch are decisions, and so with scores.
            holding: Decisions whose JSON does not contain these bytes are passed over, which costs
                a tenth of reading them: for example b'"<id of an experiment>"'.

        Raises:
            LogWriteError: There is no folder, and it cannot be made.
        """
        files = LogFolder(Path(folder))
        files.prepare()
        return cls(files, after or Position(), kinds, holding)

    @property
    def position(self) -> Position:
        """The place up to which everything was read."""
        return Position(dict(self._offsets))

    def poll(self, limit: int = 1000) -> list[tuple[Position, dict[str, Any]]]:
        """Return some records that were not returned before, in their segments' order.

        Args:
            limit: How many; only the rest of a batch comes on top, since its rows are read at once.

        Returns:
            Each record, with the position to go on from once it is dealt with; that of a row of a
            batch is before the batch, until its last row.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        positions: list[Position] = []

        def note(name: str, before: int, rows: int) -> None:
            if rows > 1:
                unread = Position({**self._offsets, name: before})
                positions.extend([unread] * (rows - 1))
            positions.append(Position(dict(self._offsets)))

        documents = self._read(limit, note)
        return list(zip(positions, documents, strict=True))

    def poll_all(self, limit: int = 1000) -> tuple[list[dict[str, Any]], Position]:
        """Return some records that were not returned before, and the position after all of them.

        It takes half of the time of `poll`, for a reader that deals with all of them at once.

        Args:
            limit: As for `poll`.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        return self._read(limit, None), self.position

    def poll_payloads(
        self, limit: int = 1000
    ) -> tuple[list[bytes], list[dict[str, Any]], Position]:
        """Return what `poll_all` does, but records as the JSON that they are in the log.

        Args:
            limit: How many; the rest of what was read of the file with the last one comes on top.

        Returns:
            Records, the rows of what holds many as documents, and the position after all of them.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        payloads: list[bytes] = []
        rows: list[dict[str, Any]] = []
        self._passed = {}
        for segment in self._readable():
            for frames in segment.chunks():
                self._passed[segment.name] = frames[-1].offset
                self._take(segment, frames, payloads, rows)
                segment.offset = self._offsets[segment.name] = frames[-1].end
                if len(payloads) + len(rows) >= limit:
                    return payloads, rows, self.position
        return payloads, rows, self.position

    def _take(
        self,
        segment: Followed,
        frames: Sequence[Frame],
        payloads: list[bytes],
        rows: list[dict[str, Any]],
    ) -> None:
        """Add what is wanted of frames."""
        holding = self._holding
        for frame in frames:
            kind, _, _, payload, _, _ = frame
            if kind == COLUMNS:
                self._learn(payload)
            elif kind in self._kinds and (not holding or kind == OUTCOME or holding in payload):
                if kind in _MANY:
                    rows += self._rows(segment, frame)
                else:
                    payloads.append(payload)

    def skip_to_newest(self) -> int:
        """Pass over all records that are there, and return how many it would have returned.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        return sum(
            rows_in(frame.payload) if frame.kind in _MANY else 1 for _, frame, _ in self._wanted()
        )

    def names(self, columns: int) -> tuple[str, ...]:
        """Return the names of the features of a decision that was read, by its `columns`.

        Raises:
            ParameterError: No decision that was read has these columns.
        """
        if columns not in self._columns:
            self._learn_in(self._passed)
        if columns not in self._columns:
            raise ParameterError(
                f"No decision that was read has columns {columns}.",
                remedy="Ask for the `columns` of a decision that `poll` returned.",
            )
        return self._columns[columns].names

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

    def _read(
        self, limit: int, note: Callable[[str, int, int], None] | None
    ) -> list[dict[str, Any]]:
        """Return records, telling of each its segment, where it begins, and how many rows it is."""
        found: list[dict[str, Any]] = []
        payloads: list[bytes] = []  # parsed together
        read: dict[str, int] = {}  # segment: up to where
        for segment, frame, before in self._wanted():
            name = segment.name
            read[name] = frame.offset
            rows = 1
            if frame.kind in _MANY:
                found += parsed(payloads)
                payloads.clear()
                many = self._rows(segment, frame)
                rows = len(many)
                found += many
            else:
                payloads.append(frame.payload)
            if note is not None:
                note(name, before, rows)
            if len(found) + len(payloads) >= limit:
                break
        found += parsed(payloads)
        if {each["columns"] for each in found if "columns" in each} - self._columns.keys():
            self._learn_in(read)
        return found

    def _wanted(self) -> Iterator[tuple[Followed, Frame, int]]:
        """Yield records to be read, each with where its reader was before."""
        kinds, holding = self._kinds, self._holding
        for segment in self._readable():
            name = segment.name
            offsets = self._offsets  # a listing makes it anew
            before = offsets.get(name, 0)
            for frame in segment.frames():
                kind, _, _, payload, _, end = frame
                offsets[name] = end
                if kind == COLUMNS:
                    self._learn(payload)
                elif kind in kinds and (not holding or kind == OUTCOME or holding in payload):
                    yield segment, frame, before
                before = end

    def _rows(self, segment: Followed, frame: Frame) -> list[dict[str, Any]]:
        """Return the documents of the rows of a record."""
        document = orjson.loads(frame.payload)
        if frame.kind == SCORES:
            return list(shadows_of(document))
        if document["columns"] not in self._columns:
            self._learn_before(segment, frame.offset)
        return list(decisions_of(document, self._columns[document["columns"]]))

    def _learn(self, payload: bytes) -> None:
        document = orjson.loads(payload)
        self._columns[document["id"]] = Columns.from_json(document)

    def _learn_in(self, read: dict[str, int]) -> None:
        """Look for columns in what earlier readers of segments have read, up to a place of each."""
        for name, end in read.items():
            with (
                suppress(FileNotFoundError),  # compacted and removed meanwhile
                closing(Followed(self._folder, name)) as segment,
            ):
                self._learn_before(segment, end)

    def _learn_before(self, segment: Followed, end: int) -> None:
        """Look for columns in what an earlier reader of the segment has read."""
        for frame in segment.frames_until(end):
            if frame.kind == COLUMNS:
                self._learn(frame.payload)
