"""This module says where the serving host leaves what, and whether it runs; without Ray."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from headrace.calls import Finding
from headrace.settings import Settings, settings

# the same process's start may be read a little differently when the clock was set in between
_START_TOLERANCE_SECONDS = 2.0


def notices_folder(of: Settings) -> Path:
    """Return where replicas say where they listen."""
    return of.home / "serving" / "lanes"


def decisions_folder(of: Settings, endpoint: str) -> Path:
    """Return the folder of an endpoint's decision log."""
    return of.home / "decisions" / endpoint


def holder_file(of: Settings) -> Path:
    """Return the file that says which process holds Ray for the host."""
    return of.home / "serving" / "ray.json"


def ready_file(of: Settings) -> Path:
    """Return the file that says that the host is ready, with its process."""
    return of.run_folder / "serving.ready"


def say_ready(of: Settings) -> None:
    """Write down that this process is the host, and ready."""
    path = ready_file(of)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a process id is given out again, so that only both together name a process
    told = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    half = path.with_suffix(".half")
    half.write_text(json.dumps(told), encoding="utf-8")
    half.replace(path)


def host_lacking(parameters: Mapping[str, Any]) -> Finding | None:
    """Return why no endpoint can be served now, None when the host runs and is ready.

    Args:
        parameters: Of the effect that asks; they make no difference.
    """
    if is_up():
        return None
    return Finding(
        problem="Ray Serve is not up, so no endpoint can be served.",
        remedy="Start it with `headrace up`, then run the flow again.",
        rule="serving host",
    )


def is_up() -> bool:
    """Return whether the host of this installation runs and is ready."""
    try:
        told = json.loads(ready_file(settings()).read_text(encoding="utf-8"))
        started = psutil.Process(int(told["pid"])).create_time()
        return abs(started - float(told["started"])) <= _START_TOLERANCE_SECONDS
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return False
