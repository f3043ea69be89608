"""This module is a decision log as its writer sees it: append, and find what was answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headrace.decisions.columns import Columns, columns_id
from headrace.decisions.documents import record_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.frames import BATCH, OUTCOME, OVERHEAD, Record
from headrace.decisions.index import Index, Stats
from headrace.decisions.remembered import OFFSETS
from headrace.decisions.segments import Births, checked_writer
from headrace.decisions.write_queue import Encoded, WriteQueue
from headrace.decisions.writer import Durability, SegmentWriter
from headrace.errors import ParameterError

_LARGEST = OFFSETS // 2
_OF_COLUMNS = ("decision", "batch")


class DecisionLog:
    """This is the log of one endpoint, open in the one process that has this writer's name.

    What `append` returned from is in the file: killing the process loses none of it. Its methods
    may be called from several threads; a lookup does not wait for a write.
    """

    def __init__(
        self,
        folder: LogFolder,
        writer: str,
        *,
        remember: int,
        segment_bytes: int,
        durability: Durability,
    ) -> None:
        self._births = Births(folder)
        try:
            self._index = Index(folder, self._births, remember=remember)
        except BaseException:
            self._births.close()
            raise
        self._writer = SegmentWriter(
            folder, writer, self._births, segment_bytes=segment_bytes, durability=durability
        )
        self._columns: dict[int, Columns] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self._queue = WriteQueue(self._write, self._probe, waits_always=durability == "power")
        self._writing = threading.Lock()
        self._finding = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        writer: str,
        remember: int = 1_000_000,
        segment_bytes: int = 64 << 20,
        durability: Durability = "process",
    ) -> Self:
        """Open the log in `folder`, and make it if there is none.

        Args:
            folder: The folder of the endpoint.
            writer: The name that this process's segments begin with, for example "lane".
            remember: How many of the endpoint's last decisions are found by their id.
            segment_bytes: How long a file may grow before the next one is begun, 4 KiB to 128 MiB.
            durability: What an appended record outlives: the end of the "process", however it
                comes, or also the loss of "power", at the price of a wait for the disk.

        Raises:
            ParameterError: An argument is out of range.
            LogWriteError: The folder cannot be made.
            DamagedArtifactError: A record that is to be remembered is damaged.
        """
        if not 1 <= remember <= 1 << 32 or not 4096 <= segment_bytes <= _LARGEST:
            raise ParameterError(
                f"A decision log cannot remember {remember} decisions in segments of "
                f"{segment_bytes} bytes.",
                remedy="Remember at least 1, in segments of 4096 bytes to 128 MiB.",
            )
        files = LogFolder(Path(folder))
        checked_writer(writer)
        files.prepare(durable=durability == "power")
        return cls(
            files, writer, remember=remember, segment_bytes=segment_bytes, durability=durability
        )

    def columns(
        self, names: Sequence[str], categories: Mapping[str, Sequence[str]] | None = None
    ) -> int:
        """Return the number that stands for a list of names, the same in every process.

        Args:
            names: What the features are called, in their order.
            categories: For features that batches hold as codes: the texts of the codes 0, 1, …

        Raises:
            ParameterError: A name is no text, or occurs twice, or categories are of no feature.
        """
        listed = tuple(names)
        number = None if categories else self._numbers.get(listed)
        if number is None:
            known = {name: tuple(texts) for name, texts in (categories or {}).items()}
            columns = Columns(listed, known)
            number = columns_id(listed, known)
            self._columns[number] = columns
            with self._finding:
                self._index.columns[number] = columns
            if not known:
                self._numbers[listed] = number
        return number

    def names(self, columns: int) -> tuple[str, ...] | None:
        """Return the names that a number stands for; None when no record told of them here."""
        known = self._columns.get(columns) or self._index.columns.get(columns)
        return known.names if known else None

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log documents of kind "decision", "batch", "shadow" or "outcome", all of them or none.

        Args:
            records: The documents, with `kind`, `id` and `logged` (us); they are one write.

        Raises:
            ParameterError: A document is none; nothing was logged.
            LogWriteError: They could not be written; nothing was logged, and later calls may work.
            DamagedArtifactError: What another process writes is damaged; nothing was logged.
        """
        if not records:
            return
        self._write([self._encoded(records)])

    def require_room(self) -> None:
        """Refuse while nothing more can be logged: to be asked before an answer is worked out.

        It costs nothing while all is well. After a write that failed it looks whether there is
        room again.

        Raises:
            LogWriteError: There is no room, or so much waits for a slow disk that it may not have
                its turn in time.
        """
        self._queue.require_room()

    def submit(self, records: Sequence[Mapping[str, Any]]) -> asyncio.Future[None] | None:
        """Log documents from an event loop, which goes on while the disk is slow.

        Args:
            records: As for `append`.

        Returns:
            None when they are logged, which is the rule; else what is done when they are, or has
            the error why they are not.

        Raises:
            ParameterError: As `append`.
            LogWriteError: As `append`; also when so much waits that these would have to wait too
                long.
            DamagedArtifactError: As `append`.
        """
        return self._queue.submit(self._encoded(records)) if records else None

    async def logged(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log documents from an event loop; return when they are logged.

        Raises:
            ParameterError: As `append`.
            LogWriteError: As `submit`.
            DamagedArtifactError: As `append`.
        """
        self._queue.require_room()
        later = self.submit(records)
        if later is not None:
            await later

    def decision(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the document's own word
        """Return the decision as it was logged first, by whichever process of the endpoint.

        Args:
            id: Its id; that of a row of a batch is "<batch>/<row>", unless the batch names it.

        Returns:
            None for one that was never logged, or that more than `remember` followed.

        Raises:
            DamagedArtifactError: The record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find_decision(id)

    def batch(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the document's own word
        """Return the document of a batch as it was logged first, or None.

        Raises:
            DamagedArtifactError: The record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find(BATCH, id)

    def outcome(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the document's own word
        """Return the outcome of a decision as it was logged first, or None.

        Raises:
            DamagedArtifactError: The record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find(OUTCOME, id)

    def outcomes(self, id: str) -> list[dict[str, Any]]:  # noqa: A002 - the document's own word
        """Return everything that was told of a decision, in the order it was logged.

        Raises:
            DamagedArtifactError: A record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find_all(OUTCOME, id)

    def stats(self) -> Stats:
        """Return how much the log holds, of all its writers."""
        with self._finding:
            self._check_open()
            return self._index.stats()

    def close(self) -> None:
        """Seal what was written, after what waits was; calling it again does nothing."""
        self._queue.close()
        with self._writing, self._finding:
            if not self._closed:
                self._closed = True
                self._writer.close()
                self._index.close()
                self._births.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ParameterError(
                "This decision log is closed.", remedy="Open it again with `DecisionLog.open`."
            )

    def _encoded(self, records: Sequence[Mapping[str, Any]]) -> Encoded:
        batch = [record_of(document, self._columns) for document in records]
        used = {each["columns"] for each in records if each["kind"] in _OF_COLUMNS}
        columns = {number: self._columns[number] for number in used}
        size = sum(len(record.payload) for record in batch) + OVERHEAD * len(batch)
        if size > _LARGEST // 2:
            raise ParameterError(
                f"A batch of {len(batch)} records has {size} bytes.",
                remedy=f"Append at most {_LARGEST // 2} bytes at once.",
            )
        return Encoded(batch, columns, size)

    def _write(self, many: Sequence[Encoded]) -> None:
        """Write all or none, in one write."""
        batch, columns = many[0].records, many[0].columns
        for more in many[1:]:
            batch, columns = [*batch, *more.records], {**columns, **more.columns}
        with self._writing:
            self._make_ready(batch)
            offsets = self._writer.write(batch, columns)
            with self._finding:
                self._index.add(self._writer.name, batch, offsets, self._writer.size)

    def _make_ready(self, batch: Sequence[Record]) -> None:
        self._check_open()
        with self._finding:
            self._index.follow()  # before: what it raises must not follow a write
            if self._writer.is_full(batch):
                self._index.own(self._writer.begin())
        self._writer.settle()  # outside: lookups do not wait for the disk

    def _probe(self) -> None:
        """Raise the error of a write that still cannot be; leave alone what is being written."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            if self._writer.is_open:
                self._writer.probe()
            else:
                self._make_ready([])
        finally:
            self._writing.release()
