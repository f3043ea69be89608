"""This module writes segments: a batch is in the file as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

from headrace.decisions.columns import Columns, columns_record
from headrace.decisions.folder import LogFolder, LogWriteError
from headrace.decisions.frames import OVERHEAD, Record, batch_of
from headrace.decisions.inventory import Inventory, write_inventory
from headrace.decisions.segments import Births, create_segment

Durability = Literal["process", "power"]
_LONGEST_PROBE = 1 << 20


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
        self._next: tuple[str, int] | None = None
        self._refused = 0  # how long the batch was that could not be written
        self.name = ""
        self._listed: set[int] = set()  # the columns that the segment already explains
        self._inventory = Inventory()

    def is_full(self, records: Sequence[Record]) -> bool:
        """Say whether the records ask for a new segment."""
        size = sum(len(record.payload) for record in records) + OVERHEAD * len(records)
        return self._fd < 0 or (self.size > 0 and self.size + size > self._segment_bytes)

    def begin(self) -> str:
        """Make the next segment and return its name; `settle` goes over to it.

        Raises:
            LogWriteError: None can be made; the present one stays.
        """
        try:
            self._next = create_segment(self._folder, self._writer, self._births)
        except OSError as error:
            raise LogWriteError.of(self._folder.segments, error) from error
        return self._next[0]

    def settle(self) -> None:
        """Go over to the segment that was begun, if one was: this may wait for the disk.

        Raises:
            LogWriteError: It cannot be brought to the disk; the present one stays.
        """
        if self._next is None:
            return
        (name, fd), self._next = self._next, None
        if self._durable:
            try:
                self._sync_folder(name, fd)
            except OSError as error:
                raise LogWriteError.of(self._folder.segments, error) from error
        self._seal()
        self.name, self._fd = name, fd
        self._listed, self._inventory = set(), Inventory()

    def probe(self) -> None:
        """Find out whether as much could be written as could not be the last time.

        Raises:
            LogWriteError: It could not.
        """
        try:
            self._put_bytes(bytes(self._refused))
        except OSError as error:
            raise LogWriteError.of(self._folder.log(self.name), error) from error
        finally:
            self._take_back()

    def write(
        self,
        records: Sequence[Record],
        columns: Mapping[int, Columns],
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
            note(record, offset)
        self._inventory.tally.size += len(batch)
        return offsets[len(missing) :]

    def close(self) -> None:
        """Seal the segment; the next batch begins another."""
        with suppress(LogWriteError):
            self.settle()
        self._seal()

    @property
    def is_open(self) -> bool:
        """Whether there is a segment to write to."""
        return self._fd >= 0

    @property
    def size(self) -> int:
        """How long the segment is."""
        return self._inventory.tally.size

    def _put(self, batch: bytes) -> None:
        try:
            self._put_bytes(batch)
            if self._durable:
                self._sync()
        except OSError as error:
            path = self._folder.log(self.name)
            self._refused = min(len(batch), _LONGEST_PROBE)
            self._take_back()
            raise LogWriteError.of(path, error) from error
        except BaseException:  # an interrupt: the batch was not answered for
            self._take_back()
            raise

    def _put_bytes(self, batch: bytes) -> None:
        written = os.write(self._fd, batch)
        while written < len(batch):  # what stopped it is told to the one who asks again
            written += os.write(self._fd, memoryview(batch)[written:])

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

    def _seal(self) -> None:
        if self._fd < 0:
            return
        if not self.size:
            self._folder.log(self.name).unlink(missing_ok=True)
        else:
            with suppress(OSError):  # no room: whoever opens the log next seals it
                write_inventory(self._folder.idx(self.name), self._inventory)
        self._abandon()

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
