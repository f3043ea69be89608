"""This module passes small notes from replicas to the serving host, as files.

A replica says where it listens and what it answers with; the host reads it and writes it into the
database. So a replica needs no database, and whoever looks for a lane needs no Ray. Each replica
has a file of its own, which it takes away when it leaves; one that was killed leaves it behind, and
readers see by the process that it is of nobody any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

# the same process's start may be read a little differently when the clock was set in between
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class LaneNotice:
    """This is what a lane's replica says of itself.

    Args:
        generation: The table that it answers with; 0 before it has one.
        url: Where it listens; None until it does.
        pid: Its process.
        failed: Generation of a table that it could not take, 0 when there is none.
        message: Why it could not.
        started: When the system started the process, in seconds since 1970; 0 if it is not known.
        code: Digest of the code that it runs.
        out: Challengers that its breaker took out: model, experiment and why, of each.
        busy: The share of the last seconds in which it worked, 0 to 1; measured where the number
            of replicas follows the load.
    """

    generation: int
    url: str | None
    pid: int
    failed: int = 0
    message: str = ""
    started: float = 0.0
    code: str = ""
    out: Sequence[Sequence[str]] = ()
    busy: float = 0.0

    def __post_init__(self) -> None:
        # JSON knows no tuples
        object.__setattr__(self, "out", tuple(tuple(each) for each in self.out))

    @property
    def port(self) -> int:
        """The port that it listens on; 0 until it does."""
        return int(self.url.rpartition(":")[2]) if self.url else 0


@dataclass(frozen=True, kw_only=True)
class ShadowFigures:
    """This is how far a model in shadow has come.

    Args:
        model: The challenger.
        experiment: Id of the comparison.
        scored: Decisions that it scored since it follows this experiment.
        failed: Of these, those on which it failed.
        mirrored: Decisions that it answered itself, and that the champion scored in its stead.
        dropped: Decisions that were left out because it was too far behind.
        behind: Bytes of the log that were not read yet.
        message: Why it cannot go on; empty while it can.
    """

    model: str
    experiment: str
    scored: int = 0
    failed: int = 0
    mirrored: int = 0
    dropped: int = 0
    behind: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ShadowNotice:
    """This is what a shadow's replica says of itself: figures of all challengers.

    Args:
        model: The first challenger, None when there is none.
        generation: The table that it follows.
        pid: Its process.
        experiment: Id of the first comparison.
        scored: As in `ShadowFigures`, and so are the others.
        failed: Of these, those on which it failed.
        mirrored: Decisions that the champion scored in its stead.
        dropped: Decisions that were left out.
        behind: Bytes of the log that were not read yet.
        message: Why it cannot go on; empty while it can.
        also: Figures of further challengers.
    """

    model: str | None
    generation: int
    pid: int
    experiment: str = ""
    scored: int = 0
    failed: int = 0
    mirrored: int = 0
    dropped: int = 0
    behind: int = 0
    message: str = ""
    also: tuple[ShadowFigures, ...] = ()

    @classmethod
    def of(cls, generation: int, pid: int, figures: Sequence[ShadowFigures]) -> ShadowNotice:
        """Return the notice with the figures of all challengers, the first one first."""
        if not figures:
            return cls(model=None, generation=generation, pid=pid)
        first, *others = figures
        return cls(generation=generation, pid=pid, **asdict(first), also=tuple(others))

    @property
    def figures(self) -> tuple[ShadowFigures, ...]:
        """The figures of all challengers, the first one first."""
        if self.model is None:
            return ()
        names = [each.name for each in fields(ShadowFigures)]
        return (ShadowFigures(**{name: getattr(self, name) for name in names}), *self.also)


def own_start() -> float:
    """Return when this process was started, as notices say it."""
    return float(psutil.Process().create_time())


def lane_file(folder: Path, endpoint: str, notice: LaneNotice) -> Path:
    """Return where a replica leaves its notice."""
    return folder / f"{endpoint}.lane.{notice.pid}-{notice.port}.json"


def leave_file(notice: Path) -> Path:
    """Return the file by which the host tells the replica with this notice to leave."""
    return notice.with_suffix(".leave")


def shadow_file(folder: Path, endpoint: str) -> Path:
    """Return where an endpoint's shadow leaves its notice."""
    return folder / f"{endpoint}.shadow.json"


def write_notice(path: Path, notice: LaneNotice | ShadowNotice) -> None:
    """Replace a notice; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(asdict(notice)), encoding="utf-8")
    half.replace(path)


def written_lanes(folder: Path, endpoint: str) -> dict[Path, LaneNotice]:
    """Return the notices of an endpoint's replicas, those of dead processes too, by file."""
    found = {}
    for path in sorted(folder.glob(f"{endpoint}.lane.*.json")):
        try:
            found[path] = LaneNotice(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # gone meanwhile, or of another version
            continue
    return found


def read_lanes(folder: Path, endpoint: str) -> tuple[LaneNotice, ...]:
    """Return the notices of an endpoint's living replicas, in the order in which they started."""
    alive = [n for n in written_lanes(folder, endpoint).values() if is_alive(n)]
    return tuple(sorted(alive, key=lambda n: (n.started, n.pid, n.port)))


def read_lane(folder: Path, endpoint: str) -> LaneNotice | None:
    """Return the notice of an endpoint's lane that was written last, None when there is none."""
    latest: tuple[int, LaneNotice] | None = None
    for path, notice in written_lanes(folder, endpoint).items():
        try:
            at = path.stat().st_mtime_ns
        except OSError:
            continue
        if latest is None or at >= latest[0]:
            latest = at, notice
    return None if latest is None else latest[1]


def read_shadow(folder: Path, endpoint: str) -> ShadowNotice | None:
    """Return the notice of an endpoint's shadow, None when there is none."""
    try:
        told = json.loads(shadow_file(folder, endpoint).read_text(encoding="utf-8"))
        also = tuple(ShadowFigures(**each) for each in told.pop("also", ()))
        return ShadowNotice(**told, also=also)
    except (OSError, ValueError, TypeError):
        return None


def is_alive(notice: LaneNotice) -> bool:
    """Return whether the process that wrote a notice runs; its number may be another's by now."""
    try:
        process = psutil.Process(notice.pid)
        same = abs(process.create_time() - notice.started) <= _START_TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
