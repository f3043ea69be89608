"""This module is a set of clients that ask at a steady pace and remember failures' moments too.

`python -m benchmarks._timed_clients URL PATH BODIES CLIENTS PER_SECOND`; see `benchmarks._paced`.
What it writes has `failed_at` beside: when each answer came that was none.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks._answers import head_of
from benchmarks._load import Requests
from benchmarks._paced import Clients


class _Noted(list[str]):
    """These are failures, with the moment of each."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def append(self, why: str) -> None:
        """Note a failure."""
        super().append(why)
        self.moments.append(time.monotonic())


class TimedClients(Clients):
    """These are clients that remember when they had no answer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.failed: _Noted = _Noted()

    def to_json(self) -> dict[str, Any]:
        """Return what was seen."""
        return super().to_json() | {"failed_at": self.failed.moments}


def main(url: str, path: str, bodies: str, clients: str, per_second: str) -> None:
    """Ask until standard input is closed."""
    parts = urlsplit(url)
    lines = Path(bodies).read_bytes().splitlines()
    requests = Requests(head_of(path, parts.netloc), lines, uuid.uuid4().hex[:12])
    address = (parts.hostname or "", parts.port or 80)
    asking = TimedClients(address, requests, int(clients), float(per_second))
    asking.run()
    sys.stdout.write(json.dumps(asking.to_json()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
