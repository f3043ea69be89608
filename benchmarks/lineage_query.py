"""This benchmark asks for all that led to an artifact and all that came of it.

The lineage is seeded: groups of ten runs whose nodes read what nodes before them made, some of it
answered from the cache; a question is about an artifact in the middle of a group. CPU seconds of
the process, which does all the work of SQLite, because a wall clock would measure the neighbours.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.lineage import Lineage

_START = datetime(2013, 1, 1, tzinfo=UTC)
_GROUP = 500  # invocations, of about 3.1 edges each
_RUNS = 10
_QUESTIONS = 15


def run() -> Iterator[dict[str, Any]]:
    """Yield the milliseconds on 100,000 edges and the seconds on 1,000,000."""
    milliseconds, detail = _measured(100_000)
    yield _row("100k", round(milliseconds, 2), "ms", 50, detail)
    milliseconds, detail = _measured(1_000_000)
    yield _row("1m", round(milliseconds / 1_000, 4), "s", 1, detail)


def _row(
    part: str, value: float, unit: str, limit: float, detail: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": f"lineage_query.{part}",
        "value": value,
        "unit": unit,
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": limit},
        "detail": detail,
    }


def _measured(edges: int) -> tuple[float, dict[str, Any]]:
    """Return the median milliseconds of a question, and what was asked."""
    with tempfile.TemporaryDirectory() as directory:
        lineage = Lineage(Path(directory) / "lineage.db")
        written, questions = _fill(lineage, edges)
        lineage.close()
        seconds, returned = [], []
        for digest in questions:
            begun = time.process_time()
            found = lineage.closure(digest, "up"), lineage.closure(digest, "down")
            seconds.append(time.process_time() - begun)
            returned.append(sum(len(graph.edges) for graph in found))
        lineage.close()
    if min(returned) < 1_000:
        raise RuntimeError(f"A question returned {min(returned)} edges; it must be at least 1,000.")
    return statistics.median(seconds) * 1e3, {
        "edges": written,
        "questions": len(questions),
        "edges_returned": [min(returned), max(returned)],
        "slowest_ms": round(max(seconds) * 1e3, 2),
    }


def _fill(lineage: Lineage, edges: int) -> tuple[int, list[str]]:
    """Write groups until there are so many edges; return their number and what to ask about."""
    seeded = random.Random(2013)  # noqa: S311
    written, group, middles = 0, 0, []
    while written < edges:
        rows = _group_rows(seeded, group)
        with lineage.database.writing() as connection:
            for table, values in rows.items():
                holes = ", ".join("?" * len(values[0]))
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({holes})", values)  # noqa: S608
        written += len(rows["edge"])
        middles.append(_digest(group, _GROUP // 2))
        group += 1
    return written, seeded.sample(middles, min(_QUESTIONS, len(middles)))


def _group_rows(seeded: random.Random, group: int) -> dict[str, list[tuple[Any, ...]]]:
    moment = _START + timedelta(hours=group)
    at = moment.replace(tzinfo=None).isoformat(" ")
    runs = [f"run-{group}-{number}" for number in range(_RUNS)]
    invocations, artifacts, edges = [], [], []
    for number in range(_GROUP):
        name, made = f"call-{group}-{number}", _digest(group, number)
        run_id = runs[number * _RUNS // _GROUP]
        original = f"call-{group}-{number - 1}" if number % 20 == 19 else None
        state = "cached" if original else "executed"
        called = (name, run_id, f"node {number}", "operator", state, made, "[]", "[]", original)
        invocations.append((*called, "1", at, 0.1, "", 0, "{}", "{}"))
        artifacts.append((made, "Table", "{}", 1_000, 10_000, "", "{}"))
        reads = {number - 1, seeded.randrange(max(0, number - 40), number)} if number else ()
        edges += [
            (_digest(group, read), name, "input", "table", "Table", place)
            for place, read in enumerate(reads)
        ]
        edges.append((name, made, "repeat" if original else "output", "out", "Table", 9))
        if original:
            edges.append((original, name, "reuse", "", "invocation", 10))
    head = ("flow", "{}", at, None, "completed", "", "python", "ada", "1", None, None, "{}")
    return {
        "run": [(run_id, *head) for run_id in runs],
        "invocation": invocations,
        "artifact": artifacts,
        "edge": edges,
    }


def _digest(group: int, number: int) -> str:
    return hashlib.sha256(f"{group}/{number}".encode()).hexdigest()
