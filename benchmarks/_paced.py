"""This module is a set of clients that ask at a steady pace and remember who answered when.

`python -m benchmarks._paced URL PATH BODIES CLIENTS PER_SECOND`: each client has one connection and
sends a request every so often, as long as the one before was answered. It goes on until its
standard input is closed, and then writes what it saw: for each answer the moments when it was asked
for and came, on the clock that all processes of a machine share, and the model that it names.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks._answers import answer_end, head_of, status_of
from benchmarks._load import PATIENCE_SECONDS, Requests

_MODEL = b'"model":"'


class Clients:
    """These are the clients of one server.

    Args:
        address: Host and port.
        requests: What they send.
        count: How many they are.
        per_second: How many requests each sends a second.
    """

    def __init__(
        self, address: tuple[str, int], requests: Requests, count: int, per_second: float
    ) -> None:
        self._address, self._requests = address, requests
        self._every = 1 / per_second
        self._loop = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._asked: dict[int, float] = {}
        self._received: dict[int, bytes] = {}
        begun = time.monotonic()
        self._due = {
            self._connect(): begun + self._every * number / count for number in range(count)
        }
        self.answers: list[tuple[float, float, str]] = []
        self.failed: list[str] = []

    def run(self) -> None:
        """Ask until standard input is closed, then wait for what is under way."""
        self._loop.register(0, select.EPOLLIN | select.EPOLLHUP)
        open_for_more = True
        while open_for_more or self._asked:
            for number, _ in self._loop.poll(self._pause() if open_for_more else PATIENCE_SECONDS):
                if number == 0:
                    open_for_more = False
                    self._loop.unregister(0)
                else:
                    self._read(number)
            if open_for_more:
                self._ask()
            self._give_up()

    def _pause(self) -> float:
        due = [at for number, at in self._due.items() if number not in self._asked]
        return max(0.0, min(due) - time.monotonic()) if due else 0.1

    def _ask(self) -> None:
        now = time.monotonic()
        for number, due in list(self._due.items()):
            if due <= now and number not in self._asked:
                self._asked[number] = now
                # one that is late does not hurry after
                self._due[number] = max(due + self._every, now)
                try:
                    self._sockets[number].sendall(self._requests.next())
                except OSError as error:
                    self._lose(number, str(error))

    def _read(self, number: int) -> None:
        try:
            part = self._sockets[number].recv(65_536)
        except OSError as error:
            self._lose(number, str(error))
            return
        if not part:
            self._lose(number, "closed")
            return
        whole = self._received[number] + part
        if answer_end(whole) > len(whole):
            self._received[number] = whole
            return
        self._received[number] = b""
        asked = self._asked.pop(number)
        if status_of(whole) != 200:
            self.failed.append(whole[:500].decode("utf-8", "replace"))
            return
        begin = whole.index(_MODEL) + len(_MODEL)
        model = whole[begin : whole.index(b'"', begin)].decode()
        self.answers.append((asked, time.monotonic(), model))

    def _give_up(self) -> None:
        long_ago = time.monotonic() - PATIENCE_SECONDS
        for number in [n for n, at in self._asked.items() if at < long_ago]:
            self._lose(number, "no answer")

    def _lose(self, number: int, why: str) -> None:
        """Count a request as failed, if one was under way, and connect again."""
        if self._asked.pop(number, None) is not None:
            self.failed.append(why)
        self._loop.unregister(number)
        self._sockets.pop(number).close()
        self._due[self._connect()] = self._due.pop(number)

    def _connect(self) -> int:
        each = self._reached()
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = each.fileno()
        self._sockets[number], self._received[number] = each, b""
        self._loop.register(number, select.EPOLLIN)
        return number

    def _reached(self) -> socket.socket:
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return socket.create_connection(self._address)
            except ConnectionRefusedError:  # it restarts
                if time.monotonic() > ends:
                    raise
                time.sleep(0.02)

    def to_json(self) -> dict[str, Any]:
        """Return what was seen."""
        return {"answers": self.answers, "failed": len(self.failed), "why": self.failed[:5]}


def main(url: str, path: str, bodies: str, clients: str, per_second: str) -> None:
    """Ask until standard input is closed."""
    parts = urlsplit(url)
    lines = Path(bodies).read_bytes().splitlines()
    requests = Requests(head_of(path, parts.netloc), lines, uuid.uuid4().hex[:12])
    address = (parts.hostname or "", parts.port or 80)
    asking = Clients(address, requests, int(clients), float(per_second))
    asking.run()
    sys.stdout.write(json.dumps(asking.to_json()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
