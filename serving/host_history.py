"""This module leaves an endpoint's history for its lane, which shows it and has no database."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.endpoints import Change

_MOST = 50


def history_file(folder: Path, endpoint: str) -> Path:
    """Return where the history of an endpoint is left."""
    return folder / f"{endpoint}.history.json"


def write_history(
    folder: Path,
    endpoint: str,
    changes: Sequence[Change],
    verdicts: Sequence[Mapping[str, Any]],
) -> None:
    """Replace the history of an endpoint; a reader sees the old or the new one.

    Args:
        folder: Where notices lie.
        endpoint: The endpoint.
        changes: Its changes, oldest first.
        verdicts: What is shown of the newest verdict of each comparison.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "endpoint": endpoint,
        "generation": changes[-1].generation if changes else 0,
        "changes": [_told(change) for change in reversed(changes[-_MOST:])],
        "verdicts": list(verdicts),
    }
    path = history_file(folder, endpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(document), encoding="utf-8")
    half.replace(path)


def _told(change: Change) -> dict[str, Any]:
    route = change.after
    return {
        "generation": change.generation,
        "at": change.at.isoformat(),
        "action": change.action,
        "actor": change.actor,
        "reason": change.reason,
        "champion": route.champion,
        "challenger": route.challenger,
        "rivals": [{"model": r.model, "experiment": r.experiment} for r in route.rivals],
        "traffic": None if route.traffic is None else route.traffic.design,
        "shares": {} if route.traffic is None else dict(route.traffic.shares()),
    }
