"""This module writes segments: a batch is in the file as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

from headrace.decisions.documents import columns_record
from headrace.decisions.folder import LogFolder, LogWriteError
from headrace.decisions.frames import OVERHEAD, Record, batch_of
from headrace.decisions.inventory import Inventory, write_inventory
from headrace.decisions.segments import Births, create_segment

Durability = Literal["process", "power"]


class SegmentWriter:
    """This writes the segments of one process, one after the other.

    Args:
        folder: The prepared folder of the log.
        writer: The name that its segments begin with.
        births: Where new segments are announced.
        segment_bytes: How long a segment may grow; only a single longer batch makes it longer.
        durability: Whether a batch must outlive the process or also the machine's power.
    """

    def __init__(
        self,
        folder: LogFolder,
        writer: str,
        births: Births,
        *,
        segment_bytes: int,
        durability: Durability,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._births = births
        self._segment_bytes = segment_bytes
        self._durable = durability == "power"
        self._fd = -1
        self.name = ""
        self._listed: set[int] = set()  # the columns that the segment already explains
        self._inventory = Inventory()

    def is_full(self, records: Sequence[Record]) -> bool:
        """Say whether the records ask for a new segment."""
        size = sum(len(record.payload) for record in records) + OVERHEAD * len(records)
        return self._fd < 0 or (self.size > 0 and self.size + size > self._segment_bytes)

    def turn(self) -> str:
        """Begin a segment and return its name; while none can be made, the present one stays.

        Raises:
            LogWriteError: None can be made.
        """
        try:
            name, fd = create_segment(self._folder, self._writer, self._births)
            if self._durable:
                self._sync_folder(name, fd)
        except OSError as error:
            raise LogWriteError.of(self._folder.segments, error) from error
        self.close()
        self.name, self._fd = name, fd
        self._listed, self._inventory = set(), Inventory()
        return name

    def write(
        self,
        records: Sequence[Record],
        columns: Mapping[int, tuple[str, ...]],
    ) -> list[int]:
        """Write a batch; return where in the segment each record lies.

        Args:
            records: The records, at least one.
            columns: The lists of names that its decisions use.

        Raises:
            LogWriteError: It could not be written; the file is as it was.
        """
        missing = columns.keys() - self._listed
        if missing:
            lists = [columns_record(number, columns[number]) for number in sorted(missing)]
            records = [*lists, *records]
        batch, offsets = batch_of(records, self.size)
        self._put(batch)
        self._listed |= missing
        note = self._inventory.note
        for record, offset in zip(records, offsets, strict=True):
            note(record.kind, record.key, record.logged, offset)
        self._inventory.tally.size += len(batch)
        return offsets[len(missing) :]

    def close(self) -> None:
        """Seal the segment; the next batch begins another."""
        if self._fd < 0:
            return
        if not self.size:
            self._folder.log(self.name).unlink(missing_ok=True)
        else:
            with suppress(OSError):  # no room: whoever opens the log next seals it
                write_inventory(self._folder.idx(self.name), self._inventory)
        self._abandon()

    @property
    def size(self) -> int:
        """How long the segment is."""
        return self._inventory.tally.size

    def _put(self, batch: bytes) -> None:
        try:
            written = os.write(self._fd, batch)
            while written < len(batch):  # what stopped it is told to the one who asks again
                written += os.write(self._fd, memoryview(batch)[written:])
            if self._durable:
                self._sync()
        except OSError as error:
            path = self._folder.log(self.name)
            self._take_back()
            raise LogWriteError.of(path, error) from error
        except BaseException:  # an interrupt: the batch was not answered for
            self._take_back()
            raise

    def _sync(self) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(self._fd)  # macOS has the second only
        except OSError:  # what of the file is on the disk is unknown from here on
            self._take_back()
            self._abandon()
            raise

    def _sync_folder(self, name: str, made: int) -> None:
        """Have the new segment's name on the disk, or make no segment."""
        folder = os.open(self._folder.segments, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:
            self._folder.log(name).unlink(missing_ok=True)
            os.close(made)
            raise
        finally:
            os.close(folder)

    def _take_back(self) -> None:
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:  # whoever seals it cuts off what is not whole
            self._abandon()

    def _abandon(self) -> None:
        os.close(self._fd)
        self._fd = -1
