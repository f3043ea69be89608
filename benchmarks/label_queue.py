"""This benchmark has five raters vote at once through the labeling page, over 50,000 items.

Each rater is a process that asks for the next item and votes at once, without a pause, as nobody
could: raters who look at what they are shown leave the page idle most of the time.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks._processes import REPOSITORY
from benchmarks._servers import free_ports
from headrace.settings import inherited_environment

_ITEMS, _VOTES, _OVERLAP, _DEEP = 50_000, 2_000, 2, 3_000
_RATERS = ("ada", "bob", "eve", "joe", "zoe")
_GOAL_MS = 50.0
_READY_WITHIN_SECONDS = 60.0
_TASK = "news"


@dataclass(frozen=True, kw_only=True)
class Said:
    """This is what the raters saw.

    Args:
        next_ms: How long each took to be given an item.
        vote_ms: How long each vote took to be acknowledged.
        receipts: Of every vote.
        wall_seconds: From the first request to the last answer.
    """

    next_ms: Sequence[float]
    vote_ms: Sequence[float]
    receipts: Sequence[dict[str, Any]]
    wall_seconds: float


def run() -> Iterator[dict[str, Any]]:
    """Yield the time to be given an item and to vote, and votes that are not as they should be."""
    from headrace.labels.queue import LabelQueue
    from headrace.labels.raters import Raters
    from headrace.lineage.database import Database

    with tempfile.TemporaryDirectory(prefix="headrace-labels-") as home:
        database = Database(Path(home) / "headrace.db")
        queue, raters = LabelQueue(database), Raters(database)
        began = time.perf_counter()
        batch = _ask(queue, _ITEMS)
        asked_seconds = time.perf_counter() - began
        tokens = {name: raters.add(name) for name in _RATERS}
        with _page(Path(home)) as url:
            said = _vote(url, tokens)
        detail = {
            "items": _ITEMS,
            "raters": len(_RATERS),
            "votes": len(said.receipts),
            "overlap": _OVERLAP,
            "votes_per_second": round(len(said.receipts) / said.wall_seconds, 1),
            "asking_for_items_s": round(asked_seconds, 2),
        }
        yield from _times(said, detail)
        yield from _wrong(queue, batch, said, detail)
        yield _deep(queue, detail)


def _ask(queue: Any, items: int) -> str:
    from headrace.labels.items import NewItem
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

    task = LabelTask(
        name=_TASK,
        labels=LabelSchema(choices=("yes", "no", "maybe")),
        entity="document",
        show=("title", "text"),
        overlap=_OVERLAP,
    )
    text = "What happened, and to whom, in three sentences. " * 12
    asked = [
        NewItem(
            entity=f"d{n}",
            as_of=datetime(2024, 1, 1, tzinfo=UTC),
            shown={"title": f"Document {n}", "text": text},
            priority=float(n % 97),
            suggested="yes",
        )
        for n in range(items)
    ]
    batch: str = queue.request(task, asked, key=sha256(b"label_queue").hexdigest()).id
    return batch


@contextlib.contextmanager
def _page(home: Path) -> Iterator[str]:
    """Run the page as `headrace up` does, in a process of its own; yields its address."""
    (port,) = free_ports(1)
    environment = inherited_environment() | {
        "HEADRACE_HOME": str(home),
        "HEADRACE_DATABASE_URL": f"sqlite:///{home / 'headrace.db'}",
        "HEADRACE_LABELS_PORT": str(port),
    }
    command = [sys.executable, "-m", "serving.labeling.server"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as server:
        try:
            end = time.monotonic() + _READY_WITHIN_SECONDS
            while not _answers(url):
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("The labeling page did not answer.")
                time.sleep(0.05)
            yield url
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310  our own page
            return bool(answer.status == 200)
    except OSError:
        return False


def _vote(url: str, tokens: dict[str, str]) -> Said:
    each = str(_VOTES // len(tokens))
    with ExitStack() as left:
        children = []
        for rater, token in tokens.items():
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks._label_rater", url, _TASK, rater, token, each],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            children.append(left.enter_context(child))
            left.callback(child.kill)
        for child in children:
            if not (child.stdout and child.stdout.readline()):
                raise RuntimeError("A rater could not sign in.")
        began = time.monotonic()
        for child in children:
            if child.stdin:
                child.stdin.write("go\n")
                child.stdin.flush()
        said = [json.loads(child.communicate(timeout=600)[0]) for child in children]
        wall = time.monotonic() - began
    return Said(
        next_ms=[ms for one in said for ms in one["next_ms"]],
        vote_ms=[ms for one in said for ms in one["vote_ms"]],
        receipts=[receipt for one in said for receipt in one["receipts"]],
        wall_seconds=wall,
    )


def _times(said: Said, detail: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, taken in (("next", said.next_ms), ("vote", said.vote_ms)):
        yield _row(
            f"label_queue.{name}",
            round(_p95(taken), 2),
            "ms",
            {"at_most": _GOAL_MS},
            detail
            | {"p50_ms": round(statistics.median(taken), 2), "longest_ms": round(max(taken), 1)},
        )


def _wrong(queue: Any, batch: str, said: Said, detail: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Hold what was acknowledged against what is there."""
    votes = queue.votes(batch=batch)
    pairs = Counter((vote.entity, vote.rater) for vote in votes)
    numbers = Counter(receipt["number"] for receipt in said.receipts)
    there = {vote.number for vote in votes}
    twice = sum(n - 1 for counter in (pairs, numbers) for n in counter.values())
    lost = len(numbers.keys() - there)
    over = sum(n > _OVERLAP for n in Counter(vote.entity for vote in votes).values())
    goal = {"at_most": 0.0}
    yield _row("label_queue.duplicates", twice, "votes", goal, detail)
    yield _row("label_queue.over_overlap", over, "items", goal, detail)
    yield _row("label_queue.lost", lost, "votes", goal, detail | {"kept": len(votes)})


def _deep(queue: Any, detail: dict[str, Any]) -> dict[str, Any]:
    """Measure claims of one rater whose many votes are all on items that are still open."""
    taken = []
    for n in range(_DEEP):
        began = time.perf_counter()
        claim = queue.claim(_TASK, "max")
        taken.append((time.perf_counter() - began) * 1e3)
        queue.vote(claim.lease, "max", "yes", ms=1, request=f"max-{n}")
    late, early = statistics.median(taken[-100:]), statistics.median(taken[:100])
    row = _row("label_queue.deep", round(late, 3), "ms", None, detail | {"votes": _DEEP})
    named = {"baseline": "the rater's first 100 claims", "baseline_value": round(early, 3)}
    return row | named | {"ratio": round(late / early, 2), "goal": {"at_most": _GOAL_MS}}


def _row(
    name: str,
    value: float,
    unit: str,
    goal: dict[str, float] | None,
    detail: dict[str, Any],
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": goal,
        "detail": detail,
    }


def _p95(taken: Sequence[float]) -> float:
    return sorted(taken)[-1 - len(taken) * 5 // 100]
