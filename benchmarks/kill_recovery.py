"""This benchmark kills replicas, and the front, of an endpoint that clients of ours go on asking.

A replica is killed with signal 9 again and again, each time when all of them answer; then the
front.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil

from benchmarks._lane import ENDPOINT, Home, deployed, home, service_pid
from benchmarks._processes import REPOSITORY
from benchmarks._servers import free_ports
from headrace.settings import using_settings

_CLIENTS, _PER_SECOND = 8, 50.0
_REPLICAS = 2
_KILLS, _KILLS_OF_ONE, _KILLS_OF_FRONT = 6, 2, 3
_PATIENCE_SECONDS = 5.0
_PATIENCE_WITH_ONE_SECONDS = 60.0
_WITHIN_SECONDS = 90.0
_PAUSE_SECONDS = 1.0
_GOAL_SECONDS = 5.0


def run() -> Iterator[dict[str, Any]]:
    """Yield the requests that failed while replicas were killed, and the pause at the front."""
    (port,) = free_ports(1)
    with using_settings(serving_front="haproxy", serving_front_port=port), home("serving") as of:
        one = _with_replicas(of, 1, kills=_KILLS_OF_ONE, patience=_PATIENCE_WITH_ONE_SECONDS)
        two = _with_replicas(of, _REPLICAS, kills=_KILLS, patience=_PATIENCE_SECONDS)
        yield _failed_row(two, one)
        yield _front_row(_with_front(of, port))


def _failed_row(two: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "kill_recovery.replica_failed",
        "value": two["failed"],
        "unit": "requests",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": {
            "clients": _CLIENTS,
            "requests_a_second": _CLIENTS * _PER_SECOND,
            "replicas": _REPLICAS,
            **two,
            "one_replica": one,
        },
    }


def _front_row(seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "kill_recovery.front_seconds",
        "value": seen["longest_wait_s"],
        "unit": "s",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": _GOAL_SECONDS},
        "detail": {"clients": _CLIENTS, "replicas": _REPLICAS, **seen},
    }


def _with_replicas(of: Home, replicas: int, *, kills: int, patience: float) -> dict[str, Any]:
    """Kill one replica after the other under load, and return what clients saw."""
    from serving.placement import Placement

    deployed(of, placement=Placement(replicas=replicas))
    _wait_for(replicas)
    back = []
    with _clients(of, patience) as load:
        for number in range(kills):
            time.sleep(_PAUSE_SECONDS)
            victim = _wait_for(replicas)[number % replicas]
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            _wait_for(replicas, without=victim)
            back.append(time.monotonic() - killed)
        time.sleep(_PAUSE_SECONDS)
        seen = _seen(load)
    return _told(seen) | {"kills": kills, "patience_s": patience, "all_back_s": _rounded(back)}


def _with_front(of: Home, port: int) -> dict[str, Any]:
    """Kill the front under load, and return how long a client waited at most, and for what."""
    _wait_for(_REPLICAS)
    back = []
    with _clients(of, _PATIENCE_SECONDS) as load:
        for _ in range(_KILLS_OF_FRONT):
            time.sleep(_PAUSE_SECONDS)
            killed = time.monotonic()
            for process in _fronts(of):
                process.kill()
            _wait_until_answered(port)
            back.append(time.monotonic() - killed)
        time.sleep(_PAUSE_SECONDS)
        seen = _seen(load)
    return _told(seen) | {"kills": _KILLS_OF_FRONT, "front_back_s": _rounded(back)}


def _told(seen: Mapping[str, Any]) -> dict[str, Any]:
    waits = sorted(taken for _, taken in seen["answers"])
    failed = len(seen["failed"])
    # a client that gave up waited for as long as it is patient, and longer
    longest = max(waits[-1], _WITHIN_SECONDS if failed else 0.0)
    return {
        "failed": failed,
        "why": [why for _, why in seen["failed"][:3]],
        "answered": len(waits),
        "answer_p50_ms": round(waits[len(waits) // 2] * 1e3, 2),
        "longest_wait_s": round(longest, 3),
    }


def _wait_for(replicas: int, *, without: int = 0) -> tuple[int, ...]:
    """Return the processes of an endpoint's replicas as soon as so many answer."""
    from serving.endpoints import Endpoints

    endpoints, ends = Endpoints(), time.monotonic() + _WITHIN_SECONDS
    while time.monotonic() < ends:
        lane = endpoints.lane(ENDPOINT)
        pids = () if lane is None or lane.state != "serving" else [r.pid for r in lane.replicas]
        if len(pids) == replicas and without not in pids:
            return tuple(pids)
        time.sleep(0.05)
    raise RuntimeError(f"{replicas} replicas did not answer within {_WITHIN_SECONDS:g} s.")


def _fronts(of: Home) -> list[psutil.Process]:
    family = psutil.Process(service_pid(of)).children(recursive=True)
    found = [process for process in family if process.name().startswith("haproxy")]
    if not found:
        raise RuntimeError("There is no front to kill.")
    return found


def _wait_until_answered(port: int) -> None:
    """Ask at the front's address alone until it answers."""
    request = f"GET /v1/{ENDPOINT} HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n"
    ends, answer = time.monotonic() + _WITHIN_SECONDS, b""
    while not answer.startswith(b"HTTP/1.1 200"):
        if time.monotonic() > ends:
            raise RuntimeError(f"The front did not answer within {_WITHIN_SECONDS:g} s.")
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as asking,
        ):
            asking.sendall(request.encode())
            answer = asking.recv(1024)
        time.sleep(0.01)


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(each, 2) for each in seconds]


@contextlib.contextmanager
def _clients(of: Home, patience: float) -> Iterator[subprocess.Popen[str]]:
    arguments = [ENDPOINT, str(of.bodies()), str(_CLIENTS), str(_PER_SECOND), str(patience)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._kills", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _seen(load: subprocess.Popen[str]) -> dict[str, Any]:
    """Let the clients end, and return what they saw."""
    said, _ = load.communicate(timeout=120)
    seen: dict[str, Any] = json.loads(said)
    if not seen["answers"]:
        raise RuntimeError(f"No request was answered: {seen['failed'][:3]}")
    return seen
