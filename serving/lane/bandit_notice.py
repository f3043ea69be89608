"""This module passes wanted shares from who works them out to the serving host, as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BanditNotice:
    """This is how Thompson sampling would deal traffic, and why.

    Args:
        generation: The table under which it was worked out.
        salt: The dealing's own.
        shares: Of each model, the champion's too; their sum is 1.
        trace: What they rest on, as JSON-like data: counts, posteriors, floor.
        message: Why nothing can be worked out; empty while it can.
    """

    generation: int
    salt: str
    shares: Mapping[str, float]
    trace: Mapping[str, Any]
    message: str = ""


def bandit_file(folder: Path, endpoint: str) -> Path:
    """Return where the wanted shares of an endpoint are said."""
    return folder / f"{endpoint}.bandit.json"


def write_bandit(folder: Path, endpoint: str, notice: BanditNotice) -> None:
    """Replace the notice of an endpoint; a reader sees the old or the new one.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    path = bandit_file(folder, endpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(asdict(notice)), encoding="utf-8")
    half.replace(path)


def read_bandit(folder: Path, endpoint: str) -> BanditNotice | None:
    """Return the notice of an endpoint, None when there is none."""
    try:
        told = json.loads(bandit_file(folder, endpoint).read_text(encoding="utf-8"))
        return BanditNotice(**told)
    except (OSError, ValueError, TypeError):  # not there, or of another version of Headrace
        return None
