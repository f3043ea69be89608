"""This module compacts a log: sealed segments become Parquet, small files of it become large ones.

What counts is in the manifest: a file is made first and counts then, so a compaction that was
killed is done again, and a reader always knows which of two files to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.clock import current_clock
from headrace.decisions.fields import FIELDS
from headrace.decisions.folder import LogFolder, LogWriteError
from headrace.decisions.inventory import Inventory
from headrace.decisions.leases import oldest_read
from headrace.decisions.loaded import moments_of
from headrace.decisions.manifest import Manifest, commit, manifest_of
from headrace.decisions.merging import merges_of
from headrace.decisions.parquet_files import measured, write_merged, write_tables
from headrace.decisions.sealing import seal
from headrace.decisions.segments import number_of, try_lock

KEPT_SECONDS = 3600.0
"""How long a file that counts no longer stays, for a backup that copies what it listed."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """This is what a compaction did.

    Args:
        segments: How many segments were compacted.
        decisions: The records among them, as `shadows` and `outcomes`.
        removed: How many compacted segments were removed, being too old to be remembered.
        merged: How many Parquet files became part of a larger one.
        busy: Whether another compaction was at work, and this one did nothing.
    """

    segments: int = 0
    decisions: int = 0
    shadows: int = 0
    outcomes: int = 0
    removed: int = 0
    merged: int = 0
    busy: bool = False


def compact(
    folder: Path, *, remember: int = 1_000_000, kept_seconds: float = KEPT_SECONDS
) -> Compacted:
    """Turn the sealed segments of a log into Parquet, while others may write and read it.

    It may be killed and repeated at any moment. Segments whose writer is gone are sealed first.
    What is removed from the segments is in Parquet, but no longer found by id or read by a `Tail`.
    It is minutes of work for a million decisions: not for a process that answers requests.

    Args:
        folder: The folder of the endpoint.
        remember: How many of the last decisions stay in segments, where they are found by id; not
            less than the log is opened with.
        kept_seconds: How long a file that became part of another one stays for those that copy it;
            who reads it in a view keeps it for longer.

    Raises:
        DamagedArtifactError: A record is damaged; its segment is left as it is.
        LogWriteError: There is no room for the Parquet files; nothing is lost.
    """
    files = LogFolder(Path(folder))
    if not files.segments.is_dir():
        return Compacted()
    with changing(files) as manifest:
        if manifest is None:
            return Compacted(busy=True)
        return _compact(files, manifest, remember, kept_seconds)


@contextmanager
def changing(folder: LogFolder) -> Iterator[Manifest | None]:
    """Give the manifest to the one who may change it; None while somebody else does.

    What an earlier one left behind that was killed is removed first.

    Raises:
        LogWriteError: There is no room for what is written.
    """
    try:
        lock = os.open(folder.path / "compact.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LogWriteError.of(folder.path, error) from error
    try:
        if not try_lock(lock):
            yield None
            return
        manifest = manifest_of(folder)
        if not manifest.version:
            files = tuple(measured(folder, file) for file in manifest.files)
            highest = max(map(number_of, manifest.compacted), default=0)
            manifest = commit(folder, replace(manifest, files=files, highest=highest))
        _clean(folder, manifest)
        yield manifest
    except OSError as error:
        raise LogWriteError.of(folder.path / "parquet", error) from error
    finally:
        os.close(lock)


def remove_segments(folder: LogFolder, manifest: Manifest, names: list[str]) -> Manifest:
    """Remove segments that are compacted.

    Raises:
        OSError: One cannot be removed.
    """
    if not names:
        return manifest
    for name in names:
        folder.log(name).unlink(missing_ok=True)
        folder.idx(name).unlink(missing_ok=True)
    return commit(folder, replace(manifest, compacted=manifest.compacted - set(names)))


def sweep(folder: LogFolder, manifest: Manifest, kept_seconds: float) -> Manifest:
    """Remove the files that count no longer, whose time is over and that nobody reads.

    Raises:
        OSError: One cannot be removed.
    """
    if not manifest.retired:
        return manifest
    oldest = oldest_read(folder, manifest.version)
    limit = current_clock().now_us() - round(kept_seconds * 1e6)
    gone = [each for each in manifest.retired if each.version <= oldest and each.at <= limit]
    for each in gone:
        folder.parquet(each.table, each.name).unlink(missing_ok=True)
    if not gone:
        return manifest
    left = tuple(each for each in manifest.retired if each not in gone)
    return commit(folder, replace(manifest, retired=left))


def _compact(
    folder: LogFolder, manifest: Manifest, remember: int, kept_seconds: float
) -> Compacted:
    sealed = {name: found for name in folder.names() if (found := seal(folder, name))}
    fresh = [name for name in sealed if name not in manifest.compacted]
    for name in fresh:
        made = write_tables(folder, name, sealed[name].tally.size)
        manifest = commit(
            folder,
            replace(
                manifest,
                files=(*manifest.files, *made),
                compacted=manifest.compacted | {name},
                highest=max(manifest.highest, number_of(name)),
            ),
        )
    manifest, merged = _merge(folder, manifest)
    old = _forgotten(sealed, remember)
    manifest = remove_segments(folder, manifest, old)
    sweep(folder, manifest, kept_seconds)
    tallies = [sealed[name].tally for name in fresh]
    return Compacted(
        segments=len(fresh),
        decisions=sum(each.decisions for each in tallies),
        shadows=sum(each.shadows for each in tallies),
        outcomes=sum(each.outcomes for each in tallies),
        removed=len(old),
        merged=merged,
    )


def _merge(folder: LogFolder, manifest: Manifest) -> tuple[Manifest, int]:
    merged = 0
    for table in FIELDS:
        for group in merges_of(manifest.of(table)):
            # no segment has such a name, and a version is given once
            made = write_merged(folder, f"merged.{manifest.version + 1}", group)
            left = manifest.without(group, at=current_clock().now_us())
            manifest = commit(folder, replace(left, files=(*left.files, made)))
            merged += len(group)
    return manifest, merged


def _forgotten(sealed: dict[str, Inventory], remember: int) -> list[str]:
    """Return the segments that `remember` decisions followed, in whichever segments they lie."""
    import numpy as np

    moments = [moments_of(inventory) for inventory in sealed.values()]
    logged = np.sort(np.concatenate([np.array([], np.int64), *moments]))
    newest = [inventory.tally.newest for inventory in sealed.values()]
    later = len(logged) - np.searchsorted(logged, np.array(newest, np.int64), side="right")
    return [name for name, many in zip(sealed, later.tolist(), strict=True) if many >= remember]


def _clean(folder: LogFolder, manifest: Manifest) -> None:
    """Remove what a process that was killed left behind."""
    named = {(file.table, file.name) for file in manifest.files}
    named |= {(file.table, file.name) for file in manifest.retired}
    for path in folder.path.glob("parquet/*/*.parquet"):
        if (path.parent.name, path.stem) not in named:
            path.unlink()
    for idx in folder.segments.glob("*.idx"):
        if not folder.log(idx.stem).exists():
            idx.unlink(missing_ok=True)
    for draft in folder.segments.glob("*.idx.*.draft"):
        name = draft.name.partition(".idx.")[0]
        if folder.idx(name).exists() or not folder.log(name).exists():
            draft.unlink(missing_ok=True)
