"""This module kills the processes of a serving installation at random, and promotes meanwhile."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import psutil

from benchmarks._lane import ENDPOINT, Home, service_pid
from headrace.errors import HeadraceError

_PAUSE_SECONDS = (1.5, 4.0)
_CHANGE_SECONDS = (3.0, 6.0)
_OUTAGE_SECONDS = (15.0, 25.0)
_WHOLE_WITHIN_SECONDS = 60.0
_WEIGHTS = {"replica": 8, "shadow": 3, "controller": 2, "front": 3}
_OUTAGES = ("gcs", "host")


class Kills:
    """This kills until it is told to stop, in a thread of its own.

    Args:
        of: The home whose services are killed.
        seed: Of what is killed when.
    """

    def __init__(self, of: Home, seed: int) -> None:
        self._of = of
        self._dice = random.Random(seed)  # noqa: S311
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(step, pause))
            for step, pause in (
                (self._kill_one, _PAUSE_SECONDS),
                (self._change, _CHANGE_SECONDS),
                (self._end_all, _OUTAGE_SECONDS),
            )
        ]
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []

    def __enter__(self) -> Kills:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, step: Callable[[], None], pause: tuple[float, float]) -> None:
        while not self._ends.wait(self._dice.uniform(*pause)):
            try:
                step()
            except (HeadraceError, psutil.Error, OSError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")

    def _kill_one(self) -> None:
        """Kill a process on which others do not depend; a lane only while another one answers."""
        kind = self._dice.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
        if kind != "replica" or self._is_whole():
            self._kill(kind)

    def _is_whole(self) -> bool:
        """Return whether all replicas answer: whoever kills faster than they start serves none."""
        from serving.endpoints import Endpoints

        lane = Endpoints().lane(ENDPOINT)
        return lane is not None and lane.state == "serving" and len(lane.replicas) > 1

    def _end_all(self) -> None:
        """Kill what all others hang on: Ray's head and the serving host, in turn."""
        until = time.monotonic() + _WHOLE_WITHIN_SECONDS
        while not self._is_whole():
            if self._ends.wait(0.1) or time.monotonic() > until:
                return
        self._kill(_OUTAGES[sum(self.done[f"{kind} killed"] for kind in _OUTAGES) % 2])

    def _kill(self, kind: str) -> None:
        """Kill one process of a kind, and start the host again where it was that one."""
        found = [process for process in self._processes() if _is(process, kind)]
        if not found:
            return
        self._dice.choice(found).kill()
        self.done[f"{kind} killed"] += 1
        if kind == "host":
            from flows import _services

            time.sleep(0.5)
            _services.up(only=("serving",), of=self._of.settings)

    def _processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error, RuntimeError, ValueError):
            host = psutil.Process(service_pid(self._of))
            return [host, *host.children(recursive=True)]
        return []

    def _change(self) -> None:
        """Change who answers, in one of the ways in which that can be changed."""
        from serving.acting import act
        from serving.endpoints import Endpoints

        endpoints = Endpoints()
        route = endpoints.route(ENDPOINT)
        if route.challenger is None:
            other = next(ref for ref in self._of.refs if ref != route.champion)
            act(ENDPOINT, "challenge", generation=None, reason="the soak", challenger=other)
            self.done["challenge"] += 1
        elif route.traffic is None and self._dice.random() < 0.5:
            share = {route.challenger: 0.3}
            act(ENDPOINT, "split", generation=None, reason="the soak", shares=share, design="ab")
            self.done["split"] += 1
        else:
            act(ENDPOINT, "promote", generation=None, reason="the soak")
            self.done["promote"] += 1


def _is(process: psutil.Process, kind: str) -> bool:
    """Return whether a process is of a kind, by what it is called."""
    try:
        line, name = " ".join(process.cmdline()), process.name()
    except psutil.Error:
        return False
    if kind == "replica":
        return "ServeReplica" in line and "lane" in line and "shadow" not in line
    if kind == "shadow":
        return "ServeReplica" in line and "shadow" in line
    if kind == "controller":
        return "ServeController" in line
    if kind == "front":
        return name.startswith("haproxy")
    if kind == "gcs":
        return name.startswith("gcs_server")
    return line.endswith("serving.host")
