"""This module starts servers and load for a benchmark as processes, and ends all of each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from headrace.settings import inherited_environment

REPOSITORY = Path(__file__).parents[1]
_ENDS_WITHIN_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Started:
    """This is a process that said that it is ready.

    Args:
        pid: Its id; with all below it, it is what is measured.
        said: What it said, a JSON object.
    """

    pid: int
    said: Mapping[str, Any]


@contextlib.contextmanager
def started(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Start a module of this folder that serves, and end it with everything below it.

    Args:
        module: Its name; it writes one line of JSON when it is ready, the first on its output.
        *arguments: For it.
        environment: Variables on top of this process's.
    """
    with _started([sys.executable, "-m", f"benchmarks.{module}", *arguments], environment) as child:
        line = child.stdout.readline() if child.stdout else ""
        if not line.strip():
            raise RuntimeError(f"The process of benchmarks.{module} ended before it was ready.")
        yield Started(pid=child.pid, said=json.loads(line))


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and end it with everything below it."""
    with _started(command, environment, output=subprocess.DEVNULL) as child:
        yield child


@contextlib.contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str] | None, output: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={
            **inherited_environment(),
            "PYTHONPATH": str(REPOSITORY),
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        },
        stdin=subprocess.PIPE,
        stdout=output,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """End a process gently, then all that was below it."""
    below = []
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(child.pid).children(recursive=True)
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_ENDS_WITHIN_SECONDS)
    _, left = psutil.wait_procs(below, timeout=3)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def tree_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and all below it, the living and those waited for."""
    total = 0.0
    root = psutil.Process(pid)
    for each in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
