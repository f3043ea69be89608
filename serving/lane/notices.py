"""This module passes small notes from replicas to the serving host, as files.

A replica says where it listens and what it answers with; the host reads it and writes it into the
database. So a replica needs no database, and whoever looks for a lane needs no Ray.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LaneNotice:
    """This is what a lane's replica says of itself.

    Args:
        generation: The table that it answers with; 0 before it has one.
        url: Where it listens; None until it does.
        pid: Its process.
        failed: Generation of a table that it could not take, 0 when there is none.
        message: Why it could not.
    """

    generation: int
    url: str | None
    pid: int
    failed: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ShadowNotice:
    """This is what a shadow's replica says of itself.

    Args:
        model: The challenger that it scores with, None when there is none.
        generation: The table that it follows.
        pid: Its process.
        scored: Decisions that it scored since it follows this table.
        failed: Of these, those on which the challenger failed.
        dropped: Decisions that it left out because it was too far behind.
        behind: Bytes of the log that it has not read yet.
        message: Why it could not take the table; empty when it could.
    """

    model: str | None
    generation: int
    pid: int
    scored: int = 0
    failed: int = 0
    dropped: int = 0
    behind: int = 0
    message: str = ""


def lane_file(folder: Path, endpoint: str) -> Path:
    """Return where an endpoint's lane leaves its notice."""
    return folder / f"{endpoint}.lane.json"


def shadow_file(folder: Path, endpoint: str) -> Path:
    """Return where an endpoint's shadow leaves its notice."""
    return folder / f"{endpoint}.shadow.json"


def write_notice(path: Path, notice: LaneNotice | ShadowNotice) -> None:
    """Replace a notice; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(asdict(notice)), encoding="utf-8")
    half.replace(path)


def read_lane(folder: Path, endpoint: str) -> LaneNotice | None:
    """Return the notice of an endpoint's lane, None when there is none."""
    try:
        return LaneNotice(**json.loads(lane_file(folder, endpoint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or of another version of Headrace
        return None


def read_shadow(folder: Path, endpoint: str) -> ShadowNotice | None:
    """Return the notice of an endpoint's shadow, None when there is none."""
    try:
        return ShadowNotice(**json.loads(shadow_file(folder, endpoint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
