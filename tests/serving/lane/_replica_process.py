"""A lane's replica in a process of its own, told on its input what to do: one list a line."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from serving.lane.replica import LaneReplica
from serving.lane.table import LaneTable


async def main() -> None:
    replica = LaneReplica()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, argument = json.loads(line)
        if command == "take":
            table = LaneTable.from_json(argument)
            await replica.take(argument)
        elif command == "leave room":  # bytes by which any file of the log may still grow
            largest = max(
                (file.stat().st_size for file in Path(table.log).glob("segments/*.log")), default=0
            )
            soft = -1 if argument is None else largest + argument
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, -1))
        sys.stdout.write(f"{command} done\n")
        sys.stdout.flush()


asyncio.run(main())
