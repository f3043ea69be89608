"""This script compacts, merges and drops a log again and again, and each time dies at another call.

It runs under `faults.c` and prints, as JSON, after which of them the log was not what it should be:
each record once, no file that nobody needs, and the next compaction as if nothing had happened.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401  imported once, before the forks
import pandas as pd  # noqa: F401
import pyarrow.compute
import pyarrow.parquet  # noqa: F401

from headrace.clock import from_us
from headrace.decisions import DecisionLog, compact, open_view
from headrace.decisions.folder import LogFolder
from headrace.decisions.manifest import manifest_of
from headrace.decisions.retention import Floor, Retention, retain

COUNT, CRASH_BEFORE, CRASH_HALFWAY = 0, 5, 6
CRASHED = 70
DAY_US = 86_400_000_000
NAMES = ("distance", "carrier")
VIEWS = ("decisions", "shadows", "outcome_history")
KEEP = Retention(keep_days=3)

library = ctypes.CDLL(None)
library.faults_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
library.faults_disarm.restype = ctypes.c_long


def write(folder: Path) -> None:
    """Write a log of two days, in a few sealed segments."""
    for day, segment in ((0, 0), (0, 1), (0, 2), (5, 3), (5, 4)):
        with DecisionLog.open(folder, writer=f"lane{segment}") as log:
            columns = log.columns(NAMES)
            for number in range(3):
                logged = day * DAY_US + 10 * segment + number
                name = f"{segment}/{number}"
                log.append(
                    [
                        {"kind": "decision", "id": name, "at": logged, "logged": logged,
                         "columns": columns, "features": [1.0, "UA"], "model": "m/1",
                         "score": 0.5, "answer": {"probability": 0.5}},
                        {"kind": "shadow", "id": name, "logged": logged, "model": "m/2",
                         "score": 0.5, "ms": 1.0, "experiment": "e"},
                        {"kind": "outcome", "id": name, "logged": logged, "known_at": logged,
                         "value": 1.0},
                    ]
                )  # fmt: skip


def rows(folder: Path) -> list[Any]:
    database = open_view(folder)
    return [database.execute(f"FROM {view} SELECT id ORDER BY ALL").fetchall() for view in VIEWS]


def change(folder: Path, *, drops: bool) -> None:
    compact(folder, kept_seconds=0, remember=4)
    if drops:
        moment = from_us(6 * DAY_US) + timedelta(hours=2)
        retain(folder, KEEP, now=moment, floor=Floor(), kept_seconds=0)


def in_child(action: Callable[[], object]) -> int:
    """Do something in a process of its own; return how it ended: Arrow and a fork get on so."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = int(action() or 0)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wrong(folder: Path, *, drops: bool) -> int:
    """Return 0 when the log is as it should be, now and after the next compaction."""
    everything = [(f"{segment}/{number}",) for segment in range(5) for number in range(3)]
    young = [row for row in everything if row[0] >= "3/"]
    now = rows(folder)
    for found in now:
        if found != everything and not (drops and found == young):
            return 2
    change(folder, drops=drops)
    change(folder, drops=drops)  # the second removes what the first may not yet
    if rows(folder) != [young if drops else everything] * 3:
        return 3
    named = {f"{file.table}/{file.name}.parquet" for file in manifest_of(LogFolder(folder)).files}
    there = {str(path.relative_to(folder / "parquet")) for path in folder.glob("parquet/*/*")}
    return 0 if named == there else 4


def main(work: Path, trials: int) -> None:
    source = work / "source"
    in_child(lambda: write(source))
    broken, tried, total = [], 0, {}
    for drops in (False, True):
        counted = work / "count"

        def count(drops: bool = drops, folder: Path = counted) -> int:
            shutil.copytree(source, folder)
            library.faults_arm(str(folder).encode(), 0, COUNT, 0)
            change(folder, drops=drops)
            (work / "calls").write_text(str(library.faults_disarm()))
            return 0

        in_child(count)
        shutil.rmtree(counted)
        calls = total[drops] = int((work / "calls").read_text())
        for trial in range(trials):
            at = 1 + trial * calls // trials
            how = (CRASH_BEFORE, CRASH_HALFWAY)[trial % 2]
            folder = work / "trial"

            def crash(drops: bool = drops, folder: Path = folder, at: int = at, how: int = how):  # type: ignore[no-untyped-def]
                library.faults_arm(str(folder).encode(), at, how, 0)
                change(folder, drops=drops)

            shutil.copytree(source, folder)
            ended = in_child(crash)
            verdict = in_child(lambda drops=drops, folder=folder: wrong(folder, drops=drops))  # type: ignore[misc]
            if ended not in (CRASHED, 0) or verdict:
                broken.append([drops, at, how, ended, verdict])
            tried += ended == CRASHED
            shutil.rmtree(folder)
    sys.stdout.write(
        json.dumps({"broken": broken, "crashed": tried, "calls": list(total.values())})
    )


main(Path(sys.argv[1]), int(sys.argv[2]))
