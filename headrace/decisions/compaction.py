"""This module compacts a log: sealed segments become Parquet, and old ones are removed.

A segment counts as compacted when its decisions are there, which are written last; so a compaction
that was killed is done again, and a reader always knows which of the two to read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headrace.decisions.folder import LogFolder, LogWriteError
from headrace.decisions.inventory import Inventory
from headrace.decisions.parquet_files import write_parquet
from headrace.decisions.sealing import seal
from headrace.decisions.segments import try_lock


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """This is what a compaction did.

    Args:
        segments: How many segments were compacted.
        decisions: The records among them, as `shadows` and `outcomes`.
        removed: How many compacted segments were removed, being too old to be remembered.
        busy: Whether another compaction was at work, and this one did nothing.
    """

    segments: int = 0
    decisions: int = 0
    shadows: int = 0
    outcomes: int = 0
    removed: int = 0
    busy: bool = False


def compact(folder: Path, *, remember: int = 1_000_000) -> Compacted:
    """Turn the sealed segments of a log into Parquet, while others may write and read it.

    It may be killed and repeated at any moment. Segments whose writer is gone are sealed first.
    What is removed from the segments is in Parquet, but no longer found by id or read by a `Tail`.
    It is minutes of work for a million decisions: not for a process that answers requests.

    Args:
        folder: The folder of the endpoint.
        remember: How many of the last decisions stay in segments, where they are found by id; not
            less than the log is opened with.

    Raises:
        DamagedArtifactError: A record is damaged; its segment is left as it is.
        LogWriteError: There is no room for the Parquet files; nothing is lost.
    """
    files = LogFolder(Path(folder))
    if not files.segments.is_dir():
        return Compacted()
    lock = os.open(files.path / "compact.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not try_lock(lock):
            return Compacted(busy=True)
        try:
            return _compact(files, remember)
        except OSError as error:
            raise LogWriteError.of(files.path / "parquet", error) from error
    finally:
        os.close(lock)


def _compact(folder: LogFolder, remember: int) -> Compacted:
    _clean(folder)
    sealed = {name: found for name in folder.names() if (found := seal(folder, name))}
    fresh = [name for name in sealed if not folder.parquet("decisions", name).exists()]
    for name in fresh:
        write_parquet(folder, name, sealed[name].tally)
    old = _forgotten(sealed, remember)
    for name in old:
        folder.log(name).unlink()
        folder.idx(name).unlink(missing_ok=True)
    tallies = [sealed[name].tally for name in fresh]
    return Compacted(
        segments=len(fresh),
        decisions=sum(each.decisions for each in tallies),
        shadows=sum(each.shadows for each in tallies),
        outcomes=sum(each.outcomes for each in tallies),
        removed=len(old),
    )


def _forgotten(sealed: dict[str, Inventory], remember: int) -> list[str]:
    """Return the segments that `remember` decisions followed, in whichever segments they lie."""
    import numpy as np

    moments = np.array([], dtype=np.int64)
    for inventory in sealed.values():
        moments = np.append(moments, np.array(inventory.decisions.logged, dtype=np.int64))
    moments.sort()
    newest = [inventory.tally.newest for inventory in sealed.values()]
    later = len(moments) - np.searchsorted(moments, np.array(newest, np.int64), side="right")
    return [name for name, many in zip(sealed, later.tolist(), strict=True) if many >= remember]


def _clean(folder: LogFolder) -> None:
    """Remove what a compaction that was killed left behind."""
    for draft in folder.path.glob("parquet/*/.*.parquet"):
        draft.unlink()
    for idx in folder.segments.glob("*.idx"):
        if not folder.log(idx.stem).exists():
            idx.unlink()
    for draft in folder.segments.glob("*.idx.*.draft"):
        name = draft.name.partition(".idx.")[0]
        if folder.idx(name).exists() or not folder.log(name).exists():
            draft.unlink(missing_ok=True)
