"""This benchmark starts 25 flows of 8 task runs at once on one Prefect server, with its page open.

The value counts answers 503, whoever got them, requests without an answer, and records that are not
there afterwards. The baseline is the same burst on a server as `prefect server start` starts it:
without our way to begin transactions and without our batch sizes.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._burst import LOGS_REFUSALS, Burst, burst
from benchmarks._servers import free_ports, servers
from headrace.settings import Settings, using_settings

_FLOWS = 25
_CAP_SECONDS = 120.0
_READY_WITHIN_SECONDS = 120.0


def run() -> Iterator[dict[str, Any]]:
    """Yield the count of answers 503, or none at all, and of lost records."""
    os.environ.update(LOGS_REFUSALS)  # the servers inherit it
    with servers("prefect", "mlflow") as configured:
        from flows import _services

        [ours] = (s for s in _services.status(of=configured) if s.name == "prefect")
        value = _burst(configured, ours.pid, ours.log)
        _services.down(only=("prefect",), of=configured)
        with _stock_server(configured) as (of, pid, log):
            baseline = _burst(of, pid, log)
    total, stock = (b.bad(_FLOWS) for b in (value, baseline))
    yield {
        "name": "prefect_burst",
        "value": total,
        "unit": "answers 503 or none + lost records",
        "baseline": "the same on `prefect server start` as it comes",
        "baseline_value": stock,
        "ratio": round(total / stock, 3) if stock else None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": f"{_FLOWS} flows at once in threads of a process, beside a raw client and "
        f"{value.looked}; ours {value.text(_FLOWS)}; stock {baseline.text(_FLOWS)}; each capped at "
        f"{_CAP_SECONDS:.0f} s",
    }


def _burst(of: Settings, pid: int | None, log: str | None) -> Burst:
    if pid is None or log is None:
        raise RuntimeError("The Prefect server does not run.")
    return burst(of, pid=pid, log=Path(log), flows=_FLOWS, cap_seconds=_CAP_SECONDS)


@contextlib.contextmanager
def _stock_server(configured: Settings) -> Iterator[tuple[Settings, int, str]]:
    """Start a Prefect server as it comes, in an empty home, for runs in another empty home."""
    from flows._services import processes
    from flows._services.definitions import Service, is_ready

    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    folder = configured.home / "stock"
    service = Service(
        name="stock",
        title="stock Prefect server",
        command=(
            *(sys.executable, "-P", "-m", "prefect", "server", "start"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ),
        folder=folder,
        environment={
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_HOME": str(folder),
            "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_UI_URL": url,
            "PREFECT_UI_API_URL": f"{url}/api",
        },
        health_url=f"{url}/api/health",
    )
    daemon = processes.start(service, configured)
    try:
        end = time.monotonic() + _READY_WITHIN_SECONDS
        while not is_ready(service, daemon.pid):
            if time.monotonic() > end:
                raise RuntimeError(processes.last_lines(daemon))
            time.sleep(0.2)
        with using_settings(home=configured.home / "of-stock", prefect_url=url) as of:
            (of.home / "prefect").mkdir(parents=True)  # our `up` makes it for ours
            yield of, daemon.pid, daemon.log
    finally:
        processes.stop(daemon, configured)
