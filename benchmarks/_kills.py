"""This module is clients of ours that ask steadily, and who kills replicas and the front meanwhile.

`python -m benchmarks._kills ENDPOINT BODIES CLIENTS PER_SECOND PATIENCE`: each client is our own,
which finds the endpoint in the database. It goes on until standard input is closed, and then writes
what it saw: for each request when it was begun and how long it took, and why requests failed.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from serving.client import Client


class Asking:
    """These are clients in threads, each asking at a pace of its own.

    Args:
        endpoint: Whom they ask.
        bodies: What they ask, in turn.
        patience_seconds: For how long a client sends one request again.
    """

    def __init__(
        self, endpoint: str, bodies: list[dict[str, Any]], *, patience_seconds: float
    ) -> None:
        self._endpoint = endpoint
        self._bodies = bodies
        self._patience = patience_seconds
        self._numbers = itertools.count()
        self._ends = threading.Event()
        self.answers: list[tuple[float, float]] = []
        self.failed: list[tuple[float, str]] = []

    def run(self, clients: int, per_second: float) -> None:
        """Ask until standard input is closed."""
        threads = [
            threading.Thread(target=self._go_on, args=(1 / per_second,)) for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._ends.set()
        for thread in threads:
            thread.join()

    def to_json(self) -> dict[str, Any]:
        """Return what was seen."""
        return {"answers": self.answers, "failed": self.failed}

    def _go_on(self, every: float) -> None:
        with Client(self._endpoint, patience_seconds=self._patience) as client:
            while not self._ends.is_set():
                begun = time.monotonic()
                body = self._bodies[next(self._numbers) % len(self._bodies)]
                try:
                    client.decide(entity=body["entity"], features=body["features"])
                    self.answers.append((begun, time.monotonic() - begun))
                except HeadraceError as error:
                    self.failed.append((begun, str(error)[:300]))
                self._ends.wait(max(0.0, begun + every - time.monotonic()))


def main(endpoint: str, bodies: str, clients: str, per_second: str, patience: str) -> None:
    """Ask until standard input is closed."""
    lines = Path(bodies).read_bytes().splitlines()
    asking = Asking(
        endpoint, [json.loads(line) for line in lines], patience_seconds=float(patience)
    )
    asking.run(int(clients), float(per_second))
    sys.stdout.write(json.dumps(asking.to_json()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
