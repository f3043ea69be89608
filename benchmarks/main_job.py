"""This benchmark runs the main job as a user does: `headrace up` and `headrace run flight_delay`.

In an empty home on ports of its own: first from nothing, services' start included, then again with
the services up. Wall clock, since that is what a person waits for.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._servers import free_ports
from headrace.settings import inherited_environment

_FIRST, _SECOND = 360, 60  # seconds


def run() -> Iterator[dict[str, Any]]:
    """Yield the seconds of the first and of the second run."""
    with tempfile.TemporaryDirectory(prefix="headrace-main-job-") as home:
        prefect, mlflow, labels = free_ports(3)
        environment = {
            **inherited_environment(),
            "HEADRACE_HOME": str(Path(home) / "var"),
            "HEADRACE_PREFECT_PORT": str(prefect),
            "HEADRACE_MLFLOW_PORT": str(mlflow),
            "HEADRACE_LABELS_PORT": str(labels),
        }
        try:
            yield _row("first", _main_job(environment), _FIRST, "an empty home, services down")
            yield _row("second", _main_job(environment), _SECOND, "services up, all known")
        finally:
            _headrace(["down"], environment)


def _main_job(environment: dict[str, str]) -> float:
    started = time.perf_counter()
    _headrace(["up"], environment)
    _headrace(["run", "flight_delay"], environment)
    return time.perf_counter() - started


def _headrace(arguments: list[str], environment: dict[str, str]) -> None:
    command = [str(Path(sys.executable).parent / "headrace"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"headrace {' '.join(arguments)}: {done.stdout}{done.stderr}")


def _row(part: str, seconds: float, goal: float, detail: str) -> dict[str, Any]:
    return {
        "name": f"main_job.{part}",
        "value": round(seconds, 1),
        "unit": "s",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": goal},
        "detail": f"{detail}; installation not counted; one run",
    }
