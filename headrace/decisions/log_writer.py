"""This module only writes a log: for a process that appends and never looks anything up."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headrace.decisions.documents import record_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.segments import Births, checked_writer
from headrace.decisions.writer import Durability, SegmentWriter


class LogWriter:
    """This appends shadows and outcomes to a log, without an index of what others write.

    Args:
        folder: The folder of the endpoint; made if there is none.
        writer: The name that this process's segments begin with.
        segment_bytes: How long a file may grow before the next one is begun.
        durability: What an appended record outlives, as for `DecisionLog.open`.

    Raises:
        ParameterError: The writer has no such name.
        LogWriteError: The folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        *,
        segment_bytes: int = 64 << 20,
        durability: Durability = "process",
    ) -> None:
        files = LogFolder(Path(folder))
        checked_writer(writer)
        files.prepare(durable=durability == "power")
        self._births = Births(files)
        self._writer = SegmentWriter(
            files, writer, self._births, segment_bytes=segment_bytes, durability=durability
        )
        self._writing = threading.Lock()

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log documents of kind "shadow" or "outcome", all of them or none.

        Raises:
            ParameterError: A document is none, or a decision; nothing was logged.
            LogWriteError: They could not be written; nothing was logged, and later calls may work.
        """
        batch = [record_of(document, {}) for document in records]
        if not batch:
            return
        with self._writing:
            if self._writer.is_full(batch):
                self._writer.begin()
                self._writer.settle()
            self._writer.write(batch, {})

    def close(self) -> None:
        """Seal what was written."""
        with self._writing:
            self._writer.close()
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
