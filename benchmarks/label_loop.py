"""This benchmark times a labeling loop from the last vote of a batch to a new model, compared.

The servers are those that `headrace up` starts: the labeling page tells Prefect that the batch is
complete, Prefect starts `label_collect` in a process of its own, which trains and compares. Wall
clock, because that is what a team waits for. Then every step runs again, and digests are compared.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks._news_loop import Reader, write_repository
from benchmarks._servers import free_ports, servers
from headrace.settings import Settings, settings, using_settings

_ROWS, _BATCH = 5_000, 2_500  # two rounds label all rows, so that two models are compared
_WITHIN_SECONDS = 300.0
_LOOKS_EVERY_SECONDS = 0.1


def run(rows: int = _ROWS, batch: int = _BATCH) -> Iterator[dict[str, Any]]:
    """Yield the seconds to the new model, and the steps whose result changed when run again."""
    with tempfile.TemporaryDirectory(prefix="headrace-loop-") as folder:
        root = write_repository(Path(folder), count=rows, batch=batch, overlap=1)
        sys.path.insert(0, str(root.parent))
        [port] = free_ports(1)
        roots = [*settings().roots, root]
        services = ("prefect", "mlflow", "runner", "labels")
        try:
            with (
                using_settings(roots=roots, labels_port=port),
                servers(*services) as configured,
            ):
                yield from _rows(configured, rows)
        finally:
            sys.path.remove(str(root.parent))


def _rows(configured: Settings, count: int) -> Iterator[dict[str, Any]]:
    from news.topics import passages

    topics = {text: topic for _, text, topic in passages(count)}
    taken = []
    for number in (1, 2):
        batch = _asked(number)
        completed = _answered(batch, topics)
        ended, run_id = _collected(configured, batch)
        taken.append(ended - completed)
    report = _decided(run_id)
    yield {
        "name": "label_loop",
        "value": round(taken[-1], 2),
        "unit": "s",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 60},
        "detail": f"from the last vote to a completed run of label_collect, started by the event; "
        f"{count:,} passages of news labelled in two rounds, one answer each; first round "
        f"{taken[0]:.2f} s; {report['labels']:,} to train on, {report['judged']:,} to judge by, "
        f"accuracy {report['accuracy']['value']:.3f}, gain {report['gain']['value']:+.3f}",
    }
    again = _again(batch)
    yield {
        "name": "label_loop.repeat",
        "value": sum(not same for same in again.values()),
        "unit": "steps",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": f"of {len(again)} ({', '.join(again)}) whose result is another when "
        "everything is run again in another process, and the round is asked for again",
    }


def _asked(number: int) -> str:
    """Return the id of the batch of a round; the first is asked for here, the next by the event."""
    from flows.label_round import label_round
    from flows.runtime import run_flow
    from headrace.labels.queue import LabelQueue

    queue, ends = LabelQueue(), time.monotonic() + _WITHIN_SECONDS
    if number == 1:
        run_flow(label_round, {"loop": "news_topic"}).require_completed()
    while time.monotonic() < ends:
        found = queue.batches(status="open")
        if found and found[0].number == number:
            return found[0].id
        time.sleep(_LOOKS_EVERY_SECONDS)
    raise RuntimeError(f"Round {number} was not asked for within {_WITHIN_SECONDS:.0f} s.")


def _answered(batch: str, topics: dict[str, str]) -> float:
    """Answer a batch through the queue and return when its last vote was taken."""
    from flows._labeling.answering import answer_batch
    from headrace.labels.queue import LabelQueue

    queue = LabelQueue()
    answer_batch(queue, queue.batch(batch), {"ada": Reader(topics, right=0.97, seed=1)})
    return time.time()


def _collected(configured: Settings, batch: str) -> tuple[float, str]:
    """Return when the run that follows a batch was completed, and its id."""
    ends = time.monotonic() + _WITHIN_SECONDS
    with httpx.Client(base_url=configured.prefect_api_url, timeout=60, trust_env=False) as ask:
        while time.monotonic() < ends:
            body = {"flows": {"name": {"any_": ["label_collect"]}}, "limit": 50}
            for each in ask.post("/flow_runs/filter", json=body).raise_for_status().json():
                given = each["parameters"].get("parameters", {})
                if given.get("batch") != batch:
                    continue
                if each["state_type"] in ("FAILED", "CRASHED"):
                    raise RuntimeError(each["state"]["message"])
                if each["state_type"] == "COMPLETED":
                    return time.time(), each["id"].replace("-", "")
            time.sleep(_LOOKS_EVERY_SECONDS)
    raise RuntimeError(f"Batch {batch} was not collected within {_WITHIN_SECONDS:.0f} s.")


def _decided(run_id: str) -> dict[str, Any]:
    from headrace import Report, load

    found = load(f"run:{run_id}/decide_round")
    return found.document if isinstance(found, Report) else {}


def _again(batch: str) -> dict[str, bool]:
    """Run both flows again, in this process, and say which steps gave the same."""
    from flows.label_collect import label_collect
    from flows.label_round import label_round
    from headrace.execution import Session
    from headrace.labels.queue import LabelQueue

    lineage = Session.of_settings().lineage
    before = next(
        run for run in lineage.runs(flow="label_collect") if run.parameters.get("batch") == batch
    )
    made = {i.node: i.outputs for i in lineage.invocations(before.id) if not i.effect}
    batches = len(LabelQueue().batches())
    rerun = label_collect.run(batch=batch).require_completed()
    same = {
        node: tuple(e.digest for e in outputs)
        == tuple(a.digest for a in rerun.outcomes[node].outputs.values())
        for node, outputs in made.items()
        if node in rerun.outcomes
    }
    label_round.run(loop="news_topic", number=2).require_completed()
    return {**same, "label_round": len(LabelQueue().batches()) == batches}
