"""This module drops what a log keeps for longer than it has to: whole files, above a floor.

Nothing is dropped while nobody said how long decisions are kept. What is dropped is never younger
than twice the longest time that an outcome may take, belongs to no experiment that runs, and lies
in no segment that is still written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from headrace.clock import as_us, current_clock
from headrace.decisions.compaction import KEPT_SECONDS, changing, remove_segments, sweep
from headrace.decisions.fields import FIELDS
from headrace.decisions.folder import LogFolder
from headrace.decisions.following import Followed
from headrace.decisions.frames import COLUMNS
from headrace.decisions.inventory import read_tally
from headrace.decisions.manifest import Manifest, ParquetFile, commit, manifest_of
from headrace.decisions.parquet_files import measured
from headrace.errors import ParameterError

_HOUR_US = 3_600_000_000
_WINDOWS = 2  # so many times the longest window: an outcome may be told late, and be corrected


@dataclass(frozen=True, kw_only=True)
class Retention:
    """This says how long decisions are kept, with their shadows and outcomes.

    Args:
        keep_days: Days; None keeps everything.
        at_least_decisions: How many of the newest stay, however old they are.

    Raises:
        ParameterError: One of them is negative, or the days are none.
    """

    keep_days: float | None = None
    at_least_decisions: int = 0

    def __post_init__(self) -> None:
        if (self.keep_days is not None and not self.keep_days > 0) or self.at_least_decisions < 0:
            raise ParameterError(
                f"Decisions cannot be kept for {self.keep_days} days, and at least "
                f"{self.at_least_decisions} of them.",
                remedy="Give more than 0 days, or None to keep all, and a count from 0.",
            )


@dataclass(frozen=True, kw_only=True)
class Floor:
    """This is what no retention drops.

    Args:
        window_hours: The longest time that an outcome may take, in hours.
        experiments: Ids of the experiments that run.
    """

    window_hours: float = 0.0
    experiments: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, kw_only=True)
class Retained:
    """This is what was dropped, or would be.

    Args:
        decisions: How many decisions.
        shadows: How many scores of shadows.
        outcomes: How many outcomes.
        files: In how many Parquet files; they are removed when nobody reads them any more.
        segments: How many segments that were in Parquet, too.
        bytes: How long the files and the segments are.
        limit: What was logged since then, in us, stays in any case; None without a limit.
        spared: How many decisions are older and stay, for an experiment or to keep enough.
        busy: Whether somebody else changes the log, and nothing was done.
    """

    decisions: int = 0
    shadows: int = 0
    outcomes: int = 0
    files: int = 0
    segments: int = 0
    bytes: int = 0
    limit: int | None = None
    spared: int = 0
    busy: bool = False


@dataclass(frozen=True, kw_only=True)
class _Plan:
    files: tuple[ParquetFile, ...] = ()
    segments: tuple[str, ...] = ()
    told: Retained = field(default_factory=Retained)


def retain(
    folder: Path,
    retention: Retention,
    *,
    now: datetime,
    floor: Floor,
    kept_seconds: float = KEPT_SECONDS,
) -> Retained:
    """Drop the files of a log that hold only what need not be kept.

    It may be killed and repeated at any moment: a file counts or does not.

    Args:
        folder: The folder of the endpoint.
        retention: How long decisions are kept.
        now: The moment, aware.
        floor: What stays in any case.
        kept_seconds: How long a file stays for a backup that copies what it listed.

    Raises:
        LogWriteError: It cannot be written what counts; nothing was dropped.
    """
    files = LogFolder(Path(folder))
    if retention.keep_days is None or not files.segments.is_dir():
        return Retained()
    with changing(files) as manifest:
        if manifest is None:
            return Retained(busy=True)
        plan = _plan(files, manifest, retention, as_us(now), floor)
        segments = list(plan.segments)
        if plan.files:
            left = manifest.without(plan.files, at=current_clock().now_us())
            sweep(files, remove_segments(files, commit(files, left), segments), kept_seconds)
        else:
            sweep(files, remove_segments(files, manifest, segments), kept_seconds)
        return plan.told


def would_drop(folder: Path, retention: Retention, *, now: datetime, floor: Floor) -> Retained:
    """Return what `retain` would drop; nothing is changed.

    Args:
        folder: The folder of the endpoint.
        retention: How long decisions are kept.
        now: The moment, aware.
        floor: What stays in any case.
    """
    files = LogFolder(Path(folder))
    if retention.keep_days is None or not files.segments.is_dir():
        return Retained()
    manifest = manifest_of(files)
    if not manifest.version:
        found = tuple(measured(files, file) for file in manifest.files)
        manifest = Manifest(files=found, compacted=manifest.compacted)
    return _plan(files, manifest, retention, as_us(now), floor).told


def _plan(
    folder: LogFolder, manifest: Manifest, retention: Retention, now: int, floor: Floor
) -> _Plan:
    days = round((retention.keep_days or 0) * 24 * _HOUR_US)
    limit = now - max(days, round(_WINDOWS * floor.window_hours * _HOUR_US))
    decisions = manifest.of("decisions")
    old = sorted((file for file in decisions if file.last < limit), key=lambda file: file.last)
    open_since, many = _open(folder, manifest)
    many += sum(file.rows for file in decisions)
    gone: list[ParquetFile] = []
    for file in old:
        if many - file.rows < retention.at_least_decisions:
            break
        if not _has(folder, file, floor.experiments):
            gone.append(file)
            many -= file.rows
    # What belongs to a decision was logged after it, but for an hour by which a clock may be set.
    kept = [file.first for file in decisions if file not in gone]
    before = min([limit, open_since, *kept]) - _HOUR_US
    gone += [file for file in manifest.files if file.table != "decisions" and file.last < before]
    segments = _segments_before(folder, manifest, before)
    count = {t: sum(file.rows for file in gone if file.table == t) for t in FIELDS}
    told = Retained(
        decisions=count["decisions"],
        shadows=count["shadows"],
        outcomes=count["outcomes"],
        files=len(gone),
        segments=len(segments),
        bytes=sum(file.bytes for file in gone) + sum(segments.values()),
        limit=limit,
        spared=sum(file.rows for file in old) - count["decisions"],
    )
    return _Plan(files=tuple(gone), segments=tuple(segments), told=told)


def _segments_before(folder: LogFolder, manifest: Manifest, moment: int) -> dict[str, int]:
    """Return the compacted segments that hold only older records, with how long they are."""
    found = {}
    for name in sorted(manifest.compacted):
        tally = read_tally(folder.idx(name))
        if tally is not None and tally.newest < moment:
            found[name] = tally.size
    return found


def _open(folder: LogFolder, manifest: Manifest) -> tuple[int, int]:
    """Return since when what is in no Parquet file was logged, and how many of it are decisions."""
    since, many = 1 << 62, 0
    for name in folder.names():
        if name in manifest.compacted:
            continue
        tally = read_tally(folder.idx(name))
        many += tally.decisions if tally else 0  # one that is written holds at least none
        try:
            segment = Followed(folder, name)
        except FileNotFoundError:
            continue
        try:
            first = next((f.logged for f in segment.frames() if f.kind != COLUMNS), since)
        finally:
            segment.close()
        since = min(since, first)
    return since, many


def _has(folder: LogFolder, file: ParquetFile, experiments: frozenset[str]) -> bool:
    """Say whether a file holds a decision of one of the experiments."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    if not experiments:
        return False
    wanted = pa.array(sorted(experiments), pa.string())
    with parquet.ParquetFile(folder.parquet(file.table, file.name)) as opened:
        names = [n for n in ("experiment", "experiments") if n in opened.schema_arrow.names]
        for number in range(opened.num_row_groups):
            rows = opened.read_row_group(number, columns=names)
            for name in names:
                values = rows.column(name)
                said = pc.list_flatten(values) if name == "experiments" else values
                if pc.any(pc.is_in(said, value_set=wanted)).as_py():
                    return True
    return False
