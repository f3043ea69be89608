"""This module is a decision log as its writer sees it: append, and find what was answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headrace.decisions.documents import checked_names, columns_id, record_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.frames import DECISION, OUTCOME, OVERHEAD, Record
from headrace.decisions.index import Index, Stats
from headrace.decisions.remembered import OFFSETS
from headrace.decisions.segments import Births, checked_writer
from headrace.decisions.writer import Durability, SegmentWriter
from headrace.errors import ParameterError

_LARGEST = OFFSETS // 2


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
        self._columns: dict[int, tuple[str, ...]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
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
        files.prepare()
        return cls(
            files, writer, remember=remember, segment_bytes=segment_bytes, durability=durability
        )

    def columns(self, names: Sequence[str]) -> int:
        """Return the number that stands for a list of names, the same in every process.

        Raises:
            ParameterError: A name is no text, or occurs twice.
        """
        listed = tuple(names)
        number = self._numbers.get(listed)
        if number is None:
            number = self._numbers[listed] = columns_id(checked_names(listed))
            self._columns[number] = listed
        return number

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log documents of kind "decision", "shadow" or "outcome", all of them or none.

        Args:
            records: The documents, with `kind`, `id` and `logged` (us); they are one write.

        Raises:
            ParameterError: A document is none; nothing was logged.
            LogWriteError: They could not be written; nothing was logged, and later calls may work.
            DamagedArtifactError: What another process writes is damaged; nothing was logged.
        """
        if not records:
            return
        batch = [record_of(document, self._columns) for document in records]
        columns = {
            document["columns"]: self._columns[document["columns"]]
            for document in records
            if document["kind"] == "decision"
        }
        self._check_size(batch)
        with self._writing:
            self._check_open()
            with self._finding:
                self._index.follow()  # before: what it raises must not follow a write
                if self._writer.is_full(batch):
                    self._index.own(self._writer.turn())
            offsets = self._writer.write(batch, columns)
            with self._finding:
                self._index.add(self._writer.name, batch, offsets, self._writer.size)

    def decision(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the document's own word
        """Return the decision as it was logged first, by whichever process of the endpoint.

        Returns:
            None for one that was never logged, or that more than `remember` followed.

        Raises:
            DamagedArtifactError: The record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find(DECISION, id)

    def outcome(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the document's own word
        """Return the outcome of a decision as it was logged first, or None.

        Raises:
            DamagedArtifactError: The record is damaged.
        """
        with self._finding:
            self._check_open()
            return self._index.find(OUTCOME, id)

    def stats(self) -> Stats:
        """Return how much the log holds, of all its writers."""
        with self._finding:
            self._check_open()
            return self._index.stats()

    def close(self) -> None:
        """Seal what was written; calling it again does nothing."""
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

    @staticmethod
    def _check_size(batch: Sequence[Record]) -> None:
        size = sum(len(record.payload) for record in batch) + OVERHEAD * len(batch)
        if size > _LARGEST // 2:
            raise ParameterError(
                f"A batch of {len(batch)} records has {size} bytes.",
                remedy=f"Append at most {_LARGEST // 2} bytes at once.",
            )
