"""This module measures what a request costs servers: rounds of load on each of them, in turn."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._answers import JSON
from benchmarks._processes import REPOSITORY, tree_cpu_seconds

CONNECTIONS = 16
_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """This is a server under measurement.

    Args:
        name: What it is called in the results.
        url: Where it listens.
        path: What is asked.
        bodies: File of the bodies to send, one a line.
        kind: Their media type; what is not JSON is in base64.
        pid: The process that is measured, with all below it.
        part: A process in it that is also measured alone, if one is of interest.
        ids: Whether requests bring ids of their own.
        prepare: Makes the server what is measured, before each round.
        settle: Waits until nothing of the round is left to do; what that costs is part of it.
    """

    name: str
    url: str
    path: str
    bodies: Path
    pid: int
    part: int | None = None
    ids: bool = False
    kind: str = JSON
    prepare: Callable[[], None] = lambda: None
    settle: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """These are the rounds of one subject.

    Args:
        cost: CPU microseconds of its process tree per request, one figure a round.
        part: Likewise of the part alone; empty without one.
        per_second: Requests answered a second.
        p50_ms: Median time of an answer as the load saw it.
        p99_ms: Of a hundred answers 99 came within this.
    """

    cost: Sequence[float]
    part: Sequence[float]
    per_second: Sequence[float]
    p50_ms: Sequence[float]
    p99_ms: Sequence[float]

    @property
    def median(self) -> float:
        """The median cost of a request, in CPU microseconds."""
        return statistics.median(self.cost)

    def against(self, other: Measured) -> float:
        """Return how many times the other's cost a request costs: the median over the rounds."""
        return statistics.median(a / b for a, b in zip(self.cost, other.cost, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return the medians and the range, for the detail of a result."""
        shown: dict[str, Any] = {
            "cpu_us": round(self.median, 1),
            "cpu_us_range": [round(min(self.cost), 1), round(max(self.cost), 1)],
            "per_second": round(statistics.median(self.per_second)),
            "p50_ms": round(statistics.median(self.p50_ms), 2),
            "p99_ms": round(statistics.median(self.p99_ms), 2),
        }
        if self.part:
            shown["cpu_us_of_replica"] = round(statistics.median(self.part), 1)
        return shown


def measured(subjects: Sequence[Subject], *, rounds: int, seconds: float) -> dict[str, Measured]:
    """Return what requests cost; rounds go to and fro over the subjects, after one to warm up.

    Raises:
        RuntimeError: A request was not answered with 200.
    """
    seen: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in subjects}
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(_load(subject)) for subject in subjects]
        pairs = list(zip(subjects, loads, strict=True))
        for subject, load in pairs:
            _round(subject, load, _WARM_UP_SECONDS)
        for number in range(rounds):
            for subject, load in pairs if number % 2 == 0 else reversed(pairs):
                seen[subject.name].append(_round(subject, load, seconds))
    return {
        name: Measured(
            cost=[each["cost"] for each in found],
            part=[each["part"] for each in found if "part" in each],
            per_second=[each["per_second"] for each in found],
            p50_ms=[each["p50_ms"] for each in found],
            p99_ms=[each["p99_ms"] for each in found],
        )
        for name, found in seen.items()
    }


@contextlib.contextmanager
def _load(subject: Subject) -> Iterator[subprocess.Popen[str]]:
    mark = uuid.uuid4().hex[:12] if subject.ids else ""
    arguments = [subject.url, subject.path, str(subject.bodies), str(CONNECTIONS), mark]
    arguments.append(subject.kind)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._load", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _round(subject: Subject, load: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    assert load.stdin is not None  # noqa: S101  both were asked for
    assert load.stdout is not None  # noqa: S101
    subject.prepare()
    before = tree_cpu_seconds(subject.pid)
    part = None if subject.part is None else tree_cpu_seconds(subject.part)
    load.stdin.write(f"{seconds}\n")
    load.stdin.flush()
    seen = json.loads(load.stdout.readline() or '{"errors": 1, "error": "the load ended"}')
    subject.settle()
    used = tree_cpu_seconds(subject.pid) - before
    if seen["errors"] or not seen["requests"]:
        raise RuntimeError(f"{subject.name}: {seen['errors']} requests failed: {seen['error']}")
    found = {
        "cost": used / seen["requests"] * 1e6,
        "per_second": seen["requests"] / seen["seconds"],
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
    }
    if part is not None and subject.part is not None:
        found["part"] = (tree_cpu_seconds(subject.part) - part) / seen["requests"] * 1e6
    return found
