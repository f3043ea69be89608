"""This benchmark launches runs of a deployment as Prefect's form does, and waits for Running.

The runner is the one that `headrace up` starts, for the flows of this repository and a small one.
Wall clock, because that is what a person waits for.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx

from benchmarks._servers import servers
from headrace.settings import Settings, settings, using_settings

_LAUNCHES = 7
_WITHIN_SECONDS = 120.0
_LOOKS_EVERY_SECONDS = 0.05
_FLOW = '''
    """A flow that is launched."""

    from __future__ import annotations

    from headrace import Report, flow, operator


    @operator()
    def greet(*, number: int) -> Report:
        """Greet."""
        return Report.of({"hello": number})


    @flow
    def greeting(*, number: int = 0) -> Report:
        """Greet once."""
        return greet(number=number)
'''


def run() -> Iterator[dict[str, Any]]:
    """Yield the seconds from the request to Running."""
    with tempfile.TemporaryDirectory(prefix="headrace-launched-") as folder:
        root = Path(folder) / "launched"
        root.mkdir()
        (root / "__init__.py").touch()
        (root / "greeting.py").write_text(dedent(_FLOW), encoding="utf-8")
        roots = [*settings().roots, root]
        with using_settings(roots=roots), servers("prefect", "mlflow", "runner") as configured:
            yield _row(configured)


def _row(configured: Settings) -> dict[str, Any]:
    with httpx.Client(base_url=configured.prefect_api_url, timeout=60, trust_env=False) as ask:
        deployment = _got(ask.get("/deployments/name/greeting/default"))["id"]
        _launched(ask, deployment, 0)  # the first run makes the tables and the experiment
        found = []
        for number in range(1, _LAUNCHES + 1):
            time.sleep(0.3 * number)  # the runner looks every two seconds: meet it at any moment
            found.append(_launched(ask, deployment, number))
    seconds, taken, started = zip(*found, strict=True)
    value = statistics.median(seconds)
    return {
        "name": "launch_latency",
        "value": round(value, 2),
        "unit": "s",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 6},
        "detail": f"median of {_LAUNCHES} after one to warm up, {min(seconds):.2f} to "
        f"{max(seconds):.2f} s; {statistics.median(taken):.2f} s until the runner took it "
        f"(Pending), {statistics.median(started):.2f} s from there for a new process, its imports "
        "and its flow",
    }


def _launched(ask: httpx.Client, deployment: str, number: int) -> tuple[float, float, float]:
    """Return the seconds to Running, those of them to Pending, and those from Pending on."""
    asked_at, started = time.time(), time.perf_counter()
    body = {"parameters": {"parameters": {"number": number}}, "state": {"type": "SCHEDULED"}}
    run_id = _got(ask.post(f"/deployments/{deployment}/create_flow_run", json=body))["id"]
    seconds = _until(ask, run_id, started, "RUNNING", "COMPLETED")
    _until(ask, run_id, started, "COMPLETED")
    states = _got(ask.get("/flow_run_states/", params={"flow_run_id": run_id}))
    at = {state["type"]: datetime.fromisoformat(state["timestamp"]) for state in states}
    taken = at["PENDING"].timestamp() - asked_at
    return seconds, taken, (at["RUNNING"] - at["PENDING"]).total_seconds()


def _until(ask: httpx.Client, run_id: str, started: float, *wanted: str) -> float:
    """Return the seconds until a run is in one of the wanted states."""
    while (seconds := time.perf_counter() - started) < _WITHIN_SECONDS:
        state = _got(ask.get(f"/flow_runs/{run_id}"))["state"]
        if state["type"] in wanted:
            return seconds
        if state["type"] in ("FAILED", "CRASHED", "CANCELLED"):
            raise RuntimeError(f"The run ended as {state['name']}: {state['message']}")
        time.sleep(_LOOKS_EVERY_SECONDS)
    raise RuntimeError(f"The run is not {wanted[0]} after {_WITHIN_SECONDS:.0f} s.")


def _got(answer: httpx.Response) -> Any:
    return answer.raise_for_status().json()
