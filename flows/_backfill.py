"""This module runs a flow once for each partition of a range, and skips what is done.

A partition is done when a completed run with the same parameters is on record and all that it
computed would come from the cache now; changed code or data makes it run again, and says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.errors import HeadraceError, ParameterError
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.execution import FlowRun, Session
    from headrace.lineage import RunRecord
    from headrace.workflow import Flow

MOST_RUNS = 1_000_000  # of one flow that are looked through; the newest count
_LINE = 160


@dataclass(frozen=True, kw_only=True)
class PartitionRun:
    """This is a run that is asked for: of one partition.

    Args:
        key: Name of the partition, such as "2013-01".
        arguments: All parameters of the run, in their types.
        parameters: The same as lineage records them, JSON-like.
    """

    key: str
    arguments: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """This says whether a partition is run.

    Args:
        state: "run", or why not: "done", "running" or "paused".
        why: Why, in a sentence.
        run: The run on record that decided it, None if there is none.
    """

    state: str
    why: str
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class PartitionOutcome:
    """This is what came of a partition.

    Args:
        key: Name of the partition.
        state: "ran", "failed", "paused", or as decided: "done", "running"; "run" if it would run.
        why: Why it was run, or not.
        run: The run, None if there is none.
        seconds: How long the run took.
        counts: How many nodes were executed, cached, skipped and have failed.
        message: Why it has failed.
    """

    key: str
    state: str
    why: str
    run: str | None = None
    seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    message: str = ""


@contextlib.contextmanager
def alone(flow: str) -> Iterator[None]:
    """Let one backfill of a flow at a time run in this home; the lock ends with the process.

    Args:
        flow: Name of the flow.

    Raises:
        ParameterError: Another one runs.
    """
    folder = settings().run_folder
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"backfill-{flow}.lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ParameterError(
                f"Flow '{flow}' is being filled back already, by process {lock.read().strip()}.",
                remedy="Wait for it, or end it, and start again: what is done is kept. "
                "`--dry-run` says what is left.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def asked_for(flow: Flow[..., Any], text: str, others: Mapping[str, Any]) -> list[PartitionRun]:
    """Return the runs of a range of partitions, in order; nothing is run or looked up.

    Args:
        flow: A flow with a partition.
        text: The range, such as "2013-01..2013-03"; see `partitions_between`.
        others: The other parameters.

    Raises:
        ParameterError: The flow has no partition, the range cannot be read, or a parameter is
            wrong.
    """
    from headrace.partitioning import partition_argument, partitions_between

    partition = flow.partition
    if partition is None:
        raise ParameterError(
            f"Flow '{flow.name}' has no partition, so there is nothing to fill back.",
            remedy='Declare which parameter names it: `@flow(partition=Daily("day"))`, from '
            "headrace.partitioning.",
        )
    if partition.parameter in others:
        raise ParameterError(
            f"The parameter '{partition.parameter}' comes from the range '{text}', and is given as "
            f"{others[partition.parameter]!r} too.",
            remedy=f"Leave out `-p {partition.parameter}=...`.",
        )
    asked = []
    for key in partitions_between(partition, text):
        own = {partition.parameter: partition_argument(partition, flow.body, key)}
        arguments = flow.parameters.check({**others, **own})
        parameters = flow.parameters.plain(arguments)
        asked.append(PartitionRun(key=key, arguments=arguments, parameters=parameters))
    return asked


class Past:
    """These are the runs of a flow on record, and what has changed since.

    Args:
        flow: The flow.
        session: Store and lineage.
    """

    def __init__(self, flow: Flow[..., Any], session: Session) -> None:
        from headrace.execution.abandoned import close_abandoned

        self._flow, self._session = flow, session
        close_abandoned(session.lineage)
        self._runs: dict[str, list[RunRecord]] = {}
        for run in session.lineage.runs(MOST_RUNS, flow.name):
            self._runs.setdefault(_canonical(run.parameters), []).append(run)

    def decide(self, asked: PartitionRun) -> Decision:
        """Return whether a partition is to be run, and why.

        Raises:
            HeadraceError: Its plan cannot be made.
        """
        runs = self._runs.get(_canonical(asked.parameters), [])
        return decision(runs, lambda run: self._changed(asked, run))

    def _changed(self, asked: PartitionRun, run: RunRecord) -> str:
        from headrace.execution import plan_status

        plan = self._flow.plan_with(asked.arguments).require_sound()
        stale = plan_status(plan, self._session, since=run.id).stale
        if not stale:
            return ""
        path, why = next(iter(stale.items()))
        more = f" (and {len(stale) - 1} more)" if len(stale) > 1 else ""
        return f"{path} {why}{more}"


def decision(runs: Sequence[RunRecord], changed: Callable[[RunRecord], str]) -> Decision:
    """Return whether a partition is to be run, from its runs on record.

    Args:
        runs: Its runs, newest first.
        changed: Says what changed since a completed run; empty when nothing did.
    """
    if not runs:
        return Decision(state="run", why="it never ran")
    newest = runs[0]
    if newest.state == "running":
        return Decision(state="running", why="it is running now", run=newest.id)
    if newest.state == "paused":
        return Decision(state="paused", why="it waits for a person", run=newest.id)
    completed = next((run for run in runs if run.state == "completed"), None)
    if completed is None:
        said = newest.message.split("\n", 1)[0]
        why = f"run:{newest.id[:12]} {newest.state}{': ' if said else ''}{said}"
        return Decision(state="run", why=why, run=newest.id)
    why = changed(completed)
    if why:
        return Decision(state="run", why=why, run=completed.id)
    return Decision(state="done", why=f"run:{completed.id[:12]} completed", run=completed.id)


def backfill(
    asked: Sequence[PartitionRun],
    *,
    decide: Callable[[PartitionRun], Decision],
    start: Callable[[PartitionRun], FlowRun] | None,
) -> Iterator[PartitionOutcome]:
    """Run what is to be run, one partition after the other; one that fails stops no other.

    Args:
        asked: The partitions.
        decide: Says whether one is to be run, asked right before it would be.
        start: Runs the flow for a partition; None only says what would run.
    """
    for each in asked:
        try:
            decided = decide(each)
        except HeadraceError as error:
            yield PartitionOutcome(key=each.key, state="failed", why="", message=str(error))
            continue
        if decided.state != "run" or start is None:
            yield PartitionOutcome(
                key=each.key, state=decided.state, why=decided.why, run=decided.run
            )
            continue
        yield _carried_out(each, decided, start)


def _carried_out(
    asked: PartitionRun, decided: Decision, start: Callable[[PartitionRun], FlowRun]
) -> PartitionOutcome:
    clock = current_clock()
    began = clock.monotonic()
    try:
        finished = start(asked)
    except Exception as error:  # a server that is away, a flow that does not fit: for this one
        text = (
            str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
        )
        return PartitionOutcome(
            key=asked.key,
            state="failed",
            why=decided.why,
            seconds=clock.monotonic() - began,
            message=text,
        )
    failed = [o for o in finished.outcomes.values() if o.state == "failed"]
    states = ("executed", "cached", "skipped", "failed", "waiting")
    return PartitionOutcome(
        key=asked.key,
        state={"completed": "ran", "paused": "paused"}.get(finished.state, "failed"),
        why=decided.why,
        run=finished.id,
        seconds=clock.monotonic() - began,
        counts={state: n for state in states if (n := finished.count(state))},
        message="; ".join(f"{o.path}: {o.message}" for o in failed),
    )


def as_line(outcome: PartitionOutcome) -> str:
    """Return an outcome as a line for people."""
    told = {
        "done": f"done before: {outcome.why}",
        "running": f"left alone: {outcome.why}, as run:{(outcome.run or '')[:12]}",
        "run": f"would run: {outcome.why}",
    }.get(outcome.state)
    if told is None:
        counts = ", ".join(f"{count} {state}" for state, count in outcome.counts.items())
        what = counts or outcome.why
        if outcome.state == "failed":
            what = outcome.message
        elif outcome.state == "ran" and outcome.why != "it never ran":
            what = f"{counts}; {outcome.why}"
        told = f"{outcome.state} in {outcome.seconds:.1f} s: {what}"
    marks = {"done": "○", "running": "…", "run": "→", "ran": "✓", "paused": "?", "failed": "✗"}
    line = f"  {marks[outcome.state]} {outcome.key}  {told}"
    if outcome.state == "failed" or len(line) <= _LINE:
        return line
    return f"{line[: _LINE - 1]}…"


def summed_up(flow: str, outcomes: Sequence[PartitionOutcome], asked: int) -> str:
    """Return a line on all partitions, those not reached included."""
    words = {
        "ran": "ran",
        "done": "done before",
        "run": "would run",
        "running": "running elsewhere",
        "paused": "waiting for a person",
        "failed": "failed",
    }
    states = [outcome.state for outcome in outcomes]
    counts = [f"{n} {word}" for state, word in words.items() if (n := states.count(state))]
    if len(outcomes) < asked:
        counts.append(f"{asked - len(outcomes)} not reached")
    return f"{flow}: {asked} partition{'s' if asked > 1 else ''}: {', '.join(counts)}."


def _canonical(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)
