"""This module says what the machine is that settings are made for, and whose."""

from __future__ import annotations

import getpass
import os


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def operating_system_user() -> str:
    """Return who is logged in, as far as the system has a name for that."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user id may have no name
        return f"uid-{os.getuid()}"
