"""This module says where the serving host leaves what, and whether it runs; without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from headrace.settings import Settings, settings


def notices_folder(of: Settings) -> Path:
    """Return where replicas say where they listen."""
    return of.home / "serving" / "lanes"


def decisions_folder(of: Settings, endpoint: str) -> Path:
    """Return the folder of an endpoint's decision log."""
    return of.home / "decisions" / endpoint


def ready_file(of: Settings) -> Path:
    """Return the file that says that the host is ready, with its process."""
    return of.run_folder / "serving.ready"


def is_up() -> bool:
    """Return whether the host of this installation runs and is ready."""
    try:
        path = ready_file(settings())
        told = json.loads(path.read_text(encoding="utf-8"))
        # a process id is given out again: whoever wrote the file was there before it
        return psutil.Process(int(told["pid"])).create_time() <= path.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return False
