"""This module is the host's side of the process that holds Ray: start it, talk, see it die."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from headrace.clock import current_clock
from serving.lane.table import LaneTable

_COMMAND = (sys.executable, "-P", "-m", "serving.host_ray")
_SILENT_SECONDS = 30.0  # Serve's controller may be away that long, and come back
_STARTING_SECONDS = 120.0
_LOOK_AT_PARTS_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class AppStanding:
    """This is what Ray Serve says of an endpoint's app.

    Args:
        failed: Whether it cannot be deployed.
        message: What ails it, as Serve says it; empty when nothing does.
    """

    failed: bool
    message: str


class RayHolder:
    """This is a process that holds Ray, as the host sees it.

    Args:
        record: Where it is written down, for a host that comes after a killed one.
    """

    def __init__(self, record: Path) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours
                [*_COMMAND, str(its.fileno())], stdin=subprocess.DEVNULL, pass_fds=[its.fileno()]
            )
        ours.setblocking(False)
        self._socket = ours
        self._heard = b""
        self._unsaid = b""
        self._begun = self._heard_at = current_clock().monotonic()
        self._looked_at = 0.0
        self._parts: tuple[psutil.Process, ...] = ()
        self._gone = ""
        self.is_up = False
        self.deployed = 0
        self.states: Mapping[str, AppStanding] = {}
        self.trouble = ""
        write_record(record, self._process.pid)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def deploy(
        self, tables: Sequence[LaneTable], number: int, counts: Mapping[str, int] | None = None
    ) -> None:
        """Have Serve run exactly these endpoints; `deployed` says when it was told.

        Args:
            tables: The endpoints.
            number: Of this telling.
            counts: How many replicas those have that do not have the least.
        """
        told = {
            "number": number,
            "tables": [table.to_json() for table in tables],
            "counts": dict(counts or {}),
        }
        self._unsaid += json.dumps(told).encode() + b"\n"
        self._say()

    def poll(self) -> str:
        """Hear what there is, and return why Ray is gone; empty while it is not."""
        if not self._gone:
            self._say()
            self._hear()
            self._gone = self._gone or self._missing()
        return self._gone

    def end(self) -> None:
        """Ask the process to drain its lanes and to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended, at most so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def leave_alone(self) -> None:
        """Hear and say nothing any more."""
        self._socket.close()

    def kill(self) -> None:
        """End the process and all that Ray started, at once."""
        end_tree(self._process.pid)
        self._process.wait()
        self._socket.close()

    def _say(self) -> None:
        try:
            while self._unsaid:
                sent = self._socket.send(self._unsaid)
                self._unsaid = self._unsaid[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsaid = b""  # its end is seen elsewhere

    def _hear(self) -> None:
        while True:
            try:
                part = self._socket.recv(1 << 16)
            except OSError:
                return
            if not part:
                return
            self._heard_at = current_clock().monotonic()
            *lines, self._heard = (self._heard + part).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, told: Mapping[str, Any]) -> None:
        said = told["say"]
        self.trouble = told["message"] if said == "trouble" else ""
        if said == "up":
            self.is_up = True
            self._parts = tuple(p for p in map(process_of, told["parts"]) if p is not None)
        elif said == "failed":
            self._gone = str(told["message"])
        elif said == "deployed":
            self.deployed = int(told["number"])
        elif said == "states":
            self.states = {name: AppStanding(**each) for name, each in told["states"].items()}

    def _missing(self) -> str:
        """Return what of Ray is gone; empty when nothing is."""
        now = current_clock().monotonic()
        code = self._process.poll()
        if code is not None:
            return f"The process that holds Ray has ended with exit code {code}."
        patience = _SILENT_SECONDS if self.is_up else _STARTING_SECONDS
        if now - self._heard_at > patience:
            return f"Ray Serve has not answered for {patience:g} seconds."
        if self.is_up and now - self._looked_at > _LOOK_AT_PARTS_SECONDS:
            self._looked_at = now
            for part in self._parts:
                if not _runs(part):
                    return "A process that Ray cannot be without has ended."
        return ""


def write_record(path: Path, pid: int) -> None:
    """Write down which process holds Ray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}))
    half.replace(path)


def recorded(path: Path) -> int | None:
    """Return the process that holds Ray for a host which is gone; None when that is gone too."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        process = process_of(int(told["pid"]))
        started = float(told["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if process is None or abs(process.create_time() - started) > 2:
        return None
    return process.pid if _runs(process) else None


def end_tree(pid: int) -> None:
    """Kill a process and all that it started, at once."""
    process = process_of(pid)
    if process is None:
        return
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def process_of(pid: int) -> psutil.Process | None:
    """Return a process, None when there is none."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
