"""This module starts real servers for a benchmark, in a home and on ports of its own."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from flows import _services
from headrace.settings import Settings, using_settings


@contextlib.contextmanager
def servers(*names: str) -> Iterator[Settings]:
    """Start services, all by default, and stop them at the end; the settings name them."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as home:
        prefect, mlflow, labels = free_ports(3)
        with using_settings(
            home=Path(home), prefect_port=prefect, mlflow_port=mlflow, labels_port=labels
        ) as configured:
            _services.apply_client_environment(configured)
            try:
                _services.up(only=names, of=configured)
                yield configured
            finally:
                _services.down(of=configured)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def cpu_seconds(configured: Settings) -> float:
    """Return the CPU seconds used so far by this process and by the servers of the settings."""
    total = _of(psutil.Process())
    for state in _services.status(of=configured):
        if state.pid is not None:
            total += _of(psutil.Process(state.pid))
    return total


def _of(process: psutil.Process) -> float:
    """Return a process's CPU seconds with those of its children, living and waited for."""
    times = process.cpu_times()
    total = float(times.user + times.system + times.children_user + times.children_system)
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            own = child.cpu_times()
            total += own.user + own.system
    return total
