"""This module is the process that holds Ray for the serving host: `python -m serving.host_ray FD`.

Ray may take the process that started it with it when it dies, and cannot be started twice in one.
So the host has Ray in a child. It tells the child by a socket what to deploy, hears from it every
two seconds how the endpoints stand, and starts another one when this one or its Ray is gone. When
the host is killed the child goes on, and with it the lanes, until `headrace up` or `headrace down`.
"""

from __future__ import annotations

import json
import logging
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from types import FrameType
from typing import Any

from headrace.errors import HeadraceError
from headrace.settings import settings
from serving import deployment
from serving.host_replicas import DRAIN_SECONDS
from serving.lane.table import LaneTable

_LOOK_SECONDS = 2.0
_log = logging.getLogger("headrace.serving")


class Ends:
    """This is whether the process has been told to end; reading its other end wakes a wait."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.waking, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def now(self, _signal: int, _frame: FrameType | None) -> None:
        """End."""
        self._event.set()
        self._wake.send(b"!")

    def __bool__(self) -> bool:
        return self._event.is_set()

    def take_signals(self) -> None:
        """Let the signals that end a process end this one in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.now)


class Talk:
    """This is the conversation with the host: one JSON object a line, both ways.

    Args:
        host: The socket.
    """

    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._heard = b""
        self.is_open = True

    def say(self, **said: Any) -> None:
        """Tell the host; one that is gone hears nothing."""
        try:
            self._host.sendall(json.dumps(said).encode() + b"\n")
        except OSError:
            self.is_open = False

    def hear(self, ends: Ends, seconds: float) -> list[Mapping[str, Any]]:
        """Return what the host said, after waiting for it at most so long."""
        sources = [ends.waking, *([self._host] if self.is_open else [])]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._host not in ready:
            return []
        try:
            part = self._host.recv(1 << 20)
        except OSError:
            part = b""
        self.is_open = bool(part)
        *lines, self._heard = (self._heard + part).split(b"\n")
        return [json.loads(line) for line in lines]


def main(descriptor: int) -> None:
    """Hold Ray until told to end."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ends = Ends()
    ends.take_signals()
    talk = Talk(socket.socket(fileno=descriptor))
    try:
        deployment.start(settings())
    except HeadraceError as error:
        talk.say(say="failed", message=str(error))
        sys.exit(1)
    ends.take_signals()  # Ray has put handlers of its own in their place
    talk.say(say="up", parts=deployment.parts())
    try:
        while not ends:
            _turn(talk, ends)
    finally:
        deployment.stop(drain_seconds=DRAIN_SECONDS + 2)


def _turn(talk: Talk, ends: Ends) -> None:
    """Do what the host says; when it says nothing, tell it how the endpoints stand."""
    told = talk.hear(ends, _LOOK_SECONDS)
    try:
        for each in told[-1:]:  # what was to be deployed before is overtaken
            tables = [LaneTable.from_json(table) for table in each["tables"]]
            deployment.deploy(tables, each["counts"])
            talk.say(say="deployed", number=each["number"])
        if not told and talk.is_open and not ends:
            states = {name: asdict(state) for name, state in deployment.states().items()}
            talk.say(say="states", states=states)
    except Exception as error:  # Serve's controller may be away, and come back
        _log.warning("Ray Serve: %s: %s", type(error).__name__, error)
        talk.say(say="trouble", message=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
