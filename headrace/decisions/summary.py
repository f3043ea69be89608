"""This module says how much a log holds, from what is known of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headrace.decisions.fields import FIELDS
from headrace.decisions.folder import LogFolder
from headrace.decisions.frames import COLUMNS, LOST
from headrace.decisions.inventory import Inventory, read_tally
from headrace.decisions.manifest import Manifest, manifest_of
from headrace.decisions.parquet_files import measured
from headrace.decisions.reading import read_frames


@dataclass(frozen=True, kw_only=True)
class LogSummary:
    """This is how much a log holds.

    Args:
        decisions: Records of decisions, also of those that were logged twice.
        shadows: Scores of shadows.
        outcomes: Everything that was told.
        first: When the oldest record was logged, in us; None when there is none.
        last: When the newest one was, or decided if that is later.
        segments: How many segments there are.
        unsealed: How many of them are still written, or were when their process ended.
        segment_bytes: How long they are together.
        files: How many Parquet files count.
        file_bytes: How long they are together.
        retired_bytes: How long those are that count no longer and are still there.
    """

    decisions: int
    shadows: int
    outcomes: int
    first: int | None
    last: int | None
    segments: int
    unsealed: int
    segment_bytes: int
    files: int
    file_bytes: int
    retired_bytes: int


def summary_of(folder: Path) -> LogSummary:
    """Return how much the log of an endpoint holds.

    Args:
        folder: The folder of the endpoint; there need not be a log.

    Raises:
        DamagedArtifactError: A record that was not compacted is damaged.
    """
    files = LogFolder(Path(folder))
    manifest = manifest_of(files)
    parquet = [f if f.rows else measured(files, f) for f in manifest.files]
    moments = [(file.first, file.last) for file in parquet if file.rows]
    count = {table: sum(f.rows for f in parquet if f.table == table) for table in FIELDS}
    names = files.names()
    for name in names:
        if name in manifest.compacted:
            continue
        inventory, first = _read(files, name)
        tally = inventory.tally
        count["decisions"] += tally.decisions
        count["shadows"] += tally.shadows
        count["outcomes"] += tally.outcomes
        if first is not None:
            moments.append((first, tally.newest))
    return LogSummary(
        **count,
        first=min((first for first, _ in moments), default=None),
        last=max((last for _, last in moments), default=None),
        segments=len(names),
        unsealed=sum(read_tally(files.idx(name)) is None for name in names),
        segment_bytes=sum(_size(files.log(name)) for name in names),
        files=len(parquet),
        file_bytes=sum(file.bytes for file in parquet),
        retired_bytes=_retired(files, manifest),
    )


def _read(folder: LogFolder, name: str) -> tuple[Inventory, int | None]:
    """Return what a segment holds that may still grow, and when its oldest record was logged."""
    inventory, first = Inventory(), None
    try:
        fd = os.open(folder.log(name), os.O_RDONLY)
    except FileNotFoundError:
        return inventory, None
    try:
        size = os.fstat(fd).st_size
        for frame in read_frames(fd, folder.log(name), 0, size, sealed=False):
            inventory.note_frame(frame)
            if frame.kind not in (COLUMNS, LOST):
                first = frame.logged if first is None else min(first, frame.logged)
    finally:
        os.close(fd)
    return inventory, first


def _retired(folder: LogFolder, manifest: Manifest) -> int:
    return sum(_size(folder.parquet(each.table, each.name)) for each in manifest.retired)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
