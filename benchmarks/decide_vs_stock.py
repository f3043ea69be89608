"""This benchmark asks the usual ways to serve the same registered model for the same decisions.

CPU of all processes of each per request, one row, 16 connections, in rounds that alternate. Ours is
the lane without its log, since the others keep none. `ray_default` is Ray Serve as it comes: its
own HTTP proxy, a FastAPI ingress, a handle to the deployment with the model; only that a replica
may have more than five requests under way, which favours it. `mlflow` is `mlflow models serve` of
the registered version.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks._lane import DECIDE, Home, home, lane_process
from benchmarks._processes import Started, running, started, tree_cpu_seconds
from benchmarks._rounds import CONNECTIONS, Measured, Subject, measured
from benchmarks._servers import free_ports
from headrace.settings import inherited_environment

_ROUNDS, _SECONDS = 5, 3.0
_IDLE_SECONDS = 3.0
_RAY, _MLFLOW = 10.0, 6.0
_READY_WITHIN_SECONDS = 120.0


def run() -> Iterator[dict[str, Any]]:
    """Yield how many times our cost a request costs elsewhere."""
    with home() as of, ExitStack() as stack:
        ours = stack.enter_context(lane_process(of, "none"))
        ray = stack.enter_context(_ray(of))
        mlflow = stack.enter_context(_mlflow(of))
        bodies = of.bodies()
        subjects = [
            Subject(name="ours", url=ours.said["url"], path=DECIDE, bodies=bodies, pid=ours.pid),
            Subject(
                name="ray_default", url=ray.said["url"], path="/decide", bodies=bodies, pid=ray.pid
            ),
            Subject(
                name="mlflow",
                url=mlflow.said["url"],
                path="/invocations",
                bodies=_mlflow_bodies(of),
                pid=mlflow.pid,
            ),
        ]
        found = measured(subjects, rounds=_ROUNDS, seconds=_SECONDS)
        idle = {subject.name: _idle(subject.pid) for subject in subjects}
        model = of.describe()
    for part, what, goal in (
        ("ray_default", "default Ray Serve, FastAPI ingress and model handle", _RAY),
        ("mlflow", "mlflow models serve, one worker", _MLFLOW),
    ):
        yield _row(part, what, goal=goal, found=found, idle=idle, model=model)


@contextmanager
def _ray(of: Home) -> Iterator[Started]:
    """Start Ray Serve with nothing set but what keeps it to this machine and this user."""
    from serving.deployment import ray_environment

    (port,) = free_ports(1)
    kept = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED")
    ours = ray_environment(of.settings)
    folder = Path(tempfile.mkdtemp(prefix="hr-ray-"))  # short: sockets lie deep in it
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("0" * 64, encoding="utf-8")
    environment = {name: ours[name] for name in kept} | {
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    }
    try:
        arguments = (str(of.bundle), str(folder), str(port))
        with started("_stock_ray", *arguments, environment=environment) as process:
            yield process
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _mlflow(of: Home) -> Iterator[Started]:
    """Start MLflow's own server of the registered version."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve"),
        *("--model-uri", str(of.reports[0].document["uri"]), "--env-manager", "local"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    tools = str(Path(sys.executable).parent)  # it starts uvicorn by its name
    environment = {
        "PATH": os.pathsep.join([tools, inherited_environment().get("PATH", os.defpath)]),
        "MLFLOW_TRACKING_URI": of.settings.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with running(command, environment) as process:
        _wait_until_ready(f"{url}/ping", process)
        yield Started(pid=process.pid, said={"url": url})


def _wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + _READY_WITHIN_SECONDS
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"What should answer at {url} ended with {process.returncode}.")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  our own address
                if answer.status == 200:
                    return
        except OSError as error:
            if time.monotonic() > ends:
                raise RuntimeError(f"{url} does not answer: {error}") from error
        time.sleep(0.2)


def _mlflow_bodies(of: Home) -> Path:
    bodies = []
    for request in of.requests():
        features = request["features"]
        split = {"columns": list(features), "data": [list(features.values())]}
        bodies.append({"dataframe_split": split})
    return of.written("mlflow", bodies)


def _idle(pid: int) -> float:
    """Return the CPU milliseconds that the processes use in a second while nothing is asked."""
    before = tree_cpu_seconds(pid)
    time.sleep(_IDLE_SECONDS)
    return round((tree_cpu_seconds(pid) - before) / _IDLE_SECONDS * 1e3, 1)


def _less_idle(found: dict[str, Measured], part: str, idle: dict[str, float]) -> float:
    """Return the ratio without what the processes use while nothing is asked."""
    theirs, ours = (
        found[name].median - idle[name] * 1e3 / statistics.median(found[name].per_second)
        for name in (part, "ours")
    )
    return theirs / ours


def _row(
    part: str,
    what: str,
    *,
    goal: float,
    found: dict[str, Measured],
    idle: dict[str, float],
    model: dict[str, Any],
) -> dict[str, Any]:
    ratio = round(found[part].against(found["ours"]), 2)
    return {
        "name": f"decide_vs_stock.{part}",
        "value": ratio,
        "unit": "times ours",
        "baseline": f"{what}, CPU us a request",
        "baseline_value": round(found[part].median, 1),
        "ratio": ratio,
        "higher_is_better": True,
        "goal": {"at_least": goal},
        "detail": {
            "rounds": _ROUNDS,
            "seconds": _SECONDS,
            "connections": CONNECTIONS,
            "ours": found["ours"].to_json(),
            part: found[part].to_json(),
            "ratio_without_idle_cpu": round(_less_idle(found, part, idle), 1),
            "idle_cpu_ms_per_second": idle,
            "model": model,
        },
    }
