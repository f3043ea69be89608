"""This script logs from an event loop while the disk is slow, and prints what came of it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from headrace.decisions import DecisionLog, LogBusyError, write_queue

library = ctypes.CDLL(None)
library.slow_arm.argtypes = (ctypes.c_char_p, ctypes.c_long)
library.slow_say.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
library.slow_said.restype = ctypes.c_char_p

FOLDER = Path(sys.argv[1])
Scenario = Callable[[DecisionLog], Coroutine[Any, Any, dict[str, Any]]]


def said() -> list[str]:
    return library.slow_said().decode().splitlines()


def take(seconds: float) -> None:
    library.slow_arm(str(FOLDER).encode(), round(seconds * 1e6))


def decision(log: DecisionLog, name: str, **more: Any) -> dict[str, Any]:
    columns = log.columns(["distance"])
    return {
        "kind": "decision",
        "id": name,
        "logged": 1,
        "columns": columns,
        "features": [1.0],
        **more,
    }


class Ticking:
    """This counts how often the event loop was held up for as long as a write nearly takes."""

    def __init__(self, seconds: float) -> None:
        self.held = 0
        self._seconds = seconds
        self._task = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            self.held, before = self.held + (now - before >= self._seconds), now

    def read(self) -> int:
        held, self.held = self.held, 0
        return held


async def gather(log: DecisionLog) -> dict[str, Any]:
    """One slow write, then many requests that come while the next ones are slow."""
    take(0.2)
    first = log.submit([decision(log, "first")])
    ticking = Ticking(0.15)
    await asyncio.sleep(0.02)
    ticking.read()
    before = len(said())
    waiting = []
    for number in range(60):
        log.require_room()
        waiting.append(log.submit([decision(log, f"d{number}")]))
        await asyncio.sleep(0.005)
    await asyncio.gather(*waiting)
    held, writes = ticking.read(), len(said()) - before
    take(0)
    for number in range(25):
        await log.logged([decision(log, f"quick{number}")])
    again = log.submit([decision(log, "last")])
    names = ["first", "last", *(f"d{n}" for n in range(60)), *(f"quick{n}" for n in range(25))]
    return {
        "first": first is None, "held": held, "writes": writes, "again": again is None,
        "found": all(log.decision(name) for name in names), "stats": log.stats().decisions,
    }  # fmt: skip


async def hang(log: DecisionLog) -> dict[str, Any]:
    """A write that takes longer than anybody waits."""
    write_queue.PATIENCE_SECONDS = 0.3
    take(0.03)
    log.submit([decision(log, "before")])
    take(1.5)
    under_way = asyncio.ensure_future(log.logged([decision(log, "under way")]))
    await asyncio.sleep(0.1)
    behind = asyncio.ensure_future(log.logged([decision(log, "behind")]))
    problems = await asyncio.gather(under_way, behind, return_exceptions=True)
    asked = time.monotonic()
    try:
        log.require_room()
        refused = ""
    except LogBusyError as error:
        refused = str(error)
    took = time.monotonic() - asked
    take(0)
    while True:  # goes on by itself
        try:
            await log.logged([decision(log, "after")])
            break
        except LogBusyError:
            await asyncio.sleep(0.05)
    return {
        "problems": [str(problem) for problem in problems], "refused": refused, "took": took,
        "found": [n for n in ("under way", "behind", "after") if log.decision(n)],
    }  # fmt: skip


async def fill(log: DecisionLog) -> dict[str, Any]:
    """More comes than memory should hold."""
    write_queue.MOST_WAITING_BYTES = 100_000
    take(0.5)
    log.submit([decision(log, "first")])
    taken, refused = [], ""
    for number in range(100):
        try:
            log.require_room()
            taken.append(log.submit([decision(log, f"d{number}", note="x" * 10_000)]))
        except LogBusyError as error:
            refused = str(error)
            break
    most = log._queue._bytes
    await asyncio.gather(*taken)
    log.require_room()
    found = sum(log.decision(f"d{number}") is not None for number in range(100))
    return {"taken": len(taken), "most": most, "refused": refused, "found": found}


async def power(log: DecisionLog) -> dict[str, Any]:
    """Each answer after the disk has it."""
    take(0)
    ticking = Ticking(0.09)

    async def answer(name: str) -> None:
        log.require_room()
        await log.logged([decision(log, name)])
        library.slow_say(b"answered", name.encode())

    await answer("one")
    take(0.05)
    ticking.read()
    await asyncio.gather(*(answer(f"d{number}") for number in range(50)))
    return {"events": said(), "held": ticking.read()}


def main(scenario: Scenario) -> None:
    durability: Any = "power" if scenario is power else "process"
    with DecisionLog.open(FOLDER, writer="lane", durability=durability) as log:
        result = asyncio.run(scenario(log))
        take(0)
    sys.stdout.write(json.dumps(result))


main({"gather": gather, "hang": hang, "fill": fill, "power": power}[sys.argv[2]])
