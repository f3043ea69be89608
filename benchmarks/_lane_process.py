"""This module is a lane without Ray around it: the same app, server and log in a plain process.

`python -m benchmarks._lane_process TABLE real|none`: the log is the real one, or one that forgets
what it is given, which is how the cost of a decision without its log is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from headrace.decisions import DecisionLog
from serving.lane.app import LaneApp
from serving.lane.loading import load_decider
from serving.lane.server import LaneServer
from serving.lane.table import LaneTable


class _NoLog(DecisionLog):
    """This log takes everything and keeps nothing."""

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Forget the documents."""

    def submit(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Forget the documents; nothing is left to wait for."""


async def _serve(table: LaneTable, kind: type[DecisionLog]) -> None:
    log = kind.open(table.log, writer="bench")
    app = LaneApp(table.endpoint, log)
    server = LaneServer(app, (table.port,))
    server.start()
    app.answer_with(await load_decider(table, log, {}, meters=app.meters))
    sys.stdout.write(json.dumps({"url": server.url}) + "\n")
    sys.stdout.flush()
    while True:
        await asyncio.sleep(1)
        server.require_alive()


def main(table: str, log: str) -> None:
    """Serve until the process is ended."""
    document = json.loads(Path(table).read_text(encoding="utf-8"))
    kind = {"real": DecisionLog, "none": _NoLog}[log]
    uvloop.run(_serve(LaneTable.from_json(document), kind))


if __name__ == "__main__":
    main(*sys.argv[1:])
