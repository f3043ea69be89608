"""This benchmark runs the flights flow again, when everything is known.

`bodies` counts the pure operators that were executed, which must be none. `time` is what a person
waits for: `headrace run flight_delay` from the prompt to the summary, with its planning, keys,
records and effects, seen in Prefect and logged in MLflow; against a Prefect script of as many tasks
that do nothing, in turn. `detail` has the same within one process, where imports do not count.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks._servers import servers
from headrace.settings import inherited_environment

_REPEATS = 5
_NOTHING = Path(__file__).with_name("_flow_of_nothing.py")


def run() -> Iterator[dict[str, Any]]:
    """Yield the count of executed bodies, and the ratio of times."""
    with servers("prefect", "mlflow", "serving") as configured:
        from flows._services import client_environment

        environment = {**inherited_environment(), **client_environment(configured)}
        with tempfile.TemporaryDirectory(prefix="headrace-bytecode-") as folder:
            # as Python is by default: both sides compile their sources at the first run only
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            yield from _rows({**environment, "PYTHONPYCACHEPREFIX": folder})


def _rows(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    first = _flights(environment)
    nodes = len(first["nodes"])
    executed: list[int] = []

    def again() -> None:
        executed.append(_flights(environment)["pure_executed"])

    def nothing() -> None:
        _output([sys.executable, str(_NOTHING), str(nodes)], environment)

    value, baseline = _in_turn(again, nothing)
    yield {
        "name": "cached_rerun.bodies",
        "value": max(executed),
        "unit": "pure bodies executed",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": f"the most of {len(executed)} runs; the first executed {first['pure_executed']}",
    }
    inside, inside_baseline = _in_turn(*_in_process(nodes))
    yield {
        "name": "cached_rerun.time",
        "value": round(value / baseline, 3),
        "unit": "ratio",
        "baseline": f"a Prefect script of {nodes} tasks that do nothing, s",
        "baseline_value": round(baseline, 3),
        "ratio": round(value / baseline, 3),
        "higher_is_better": False,
        "goal": {"at_most": 1.5},
        "detail": f"{value:.2f} s from prompt to prompt, {nodes} nodes, medians of {_REPEATS} in "
        f"turn; within one process {inside:.2f} s against {inside_baseline:.2f} s, ratio "
        f"{inside / inside_baseline:.2f}: effects and MLflow records included in ours",
    }


def _in_turn(ours: Callable[[], None], theirs: Callable[[], None]) -> tuple[float, float]:
    """Return the median seconds of both, after one of each to warm up."""
    ours()
    theirs()
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(_REPEATS):
        for work, spent in zip((ours, theirs), seconds, strict=True):
            started = time.perf_counter()
            work()
            spent.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _in_process(nodes: int) -> tuple[Callable[[], None], Callable[[], None]]:
    from benchmarks._flow_of_nothing import nothing
    from flows.flight_delay import flight_delay
    from flows.runtime import quiet_console, run_flow

    quiet_console()

    def flights() -> None:
        run_flow(flight_delay, {}).require_completed()

    return flights, lambda: nothing(nodes)


def _flights(environment: dict[str, str]) -> dict[str, Any]:
    command = [str(Path(sys.executable).parent / "headrace"), "run", "flight_delay", "--json"]
    said: dict[str, Any] = json.loads(_output(command, environment))
    return said


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout
