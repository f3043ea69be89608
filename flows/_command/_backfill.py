"""This module is `headrace run FLOW --backfill RANGE`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from flows._backfill import PartitionOutcome, PartitionRun
    from flows._command._screen import Activity
    from headrace.execution import FlowRun, NodeOutcome
    from headrace.plan import Node, Plan
    from headrace.workflow import Flow


class Meanwhile:
    """This shows how far the partition is that runs; what came of it is a line later.

    Args:
        shown: Where to write.
        key: Name of the partition.
    """

    def __init__(self, shown: Activity, key: str) -> None:
        self._shown, self._key = shown, key
        self._total = self._done = 0

    def run_started(self, run_id: str, plan: Plan) -> None:
        """Count the nodes."""
        self._total = len(plan.nodes)

    def node_started(self, node: Node) -> None:
        """Say what runs."""
        self._shown.doing(f"{self._key} {self._done}/{self._total} · {node.path}")

    def node_says(self, node: Node, text: str) -> None:
        """Say how far it is."""
        self._shown.doing(f"{self._key} {self._done}/{self._total} · {node.path}: {text}")

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """Count it."""
        self._done += 1


def run_backfill(
    flow: Flow[..., Any],
    text: str,
    others: Mapping[str, Any],
    *,
    again: bool,
    dry_run: bool,
    local: bool,
    as_json: bool,
) -> None:
    """Run a flow for each partition of a range that is not done, in order.

    Args:
        flow: The flow.
        text: The range.
        others: The other parameters.
        again: Run what is done too.
        dry_run: Only say what would run, and why.
        local: Run without Prefect and MLflow.
        as_json: Print JSON at the end instead of lines.

    Raises:
        ParameterError: The range or a parameter is wrong, or another backfill of the flow runs;
            nothing has run.
        ServiceError: A server does not answer; nothing has run.
        Exit: With 1 if a partition has failed.
    """
    from flows._backfill import alone, asked_for

    asked = asked_for(flow, text, others)
    if not (local or dry_run):
        from flows.runtime import require_servers

        require_servers()
    with contextlib.nullcontext() if dry_run else alone(flow.name):
        outcomes = _outcomes(
            flow, text, asked, again=again, dry_run=dry_run, local=local, as_json=as_json
        )
    if as_json:
        _screen.write_json(
            {
                "flow": flow.name,
                "range": text,
                "asked": len(asked),
                "partitions": [asdict(outcome) for outcome in outcomes],
            }
        )
    if any(outcome.state == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _outcomes(
    flow: Flow[..., Any],
    text: str,
    asked: Sequence[PartitionRun],
    *,
    again: bool,
    dry_run: bool,
    local: bool,
    as_json: bool,
) -> list[PartitionOutcome]:
    """Run what is asked for and tell of each partition; see `run_backfill`."""
    from flows._backfill import Decision, Past, as_line, backfill, summed_up
    from flows._command._outcome import only_json, started
    from headrace.execution import Session

    anew = Decision(state="run", why="asked to run again")
    decide = (lambda each: anew) if again else Past(flow, Session.of_settings()).decide
    outcomes: list[PartitionOutcome] = []
    with only_json(as_json), _screen.activity() as shown:

        def start(each: PartitionRun) -> FlowRun:
            return started(flow, each.arguments, (Meanwhile(shown, each.key),), local=local)

        if not as_json:
            shown.line(f"{flow.name}: {len(asked)} of {text}")
        try:
            for outcome in backfill(asked, decide=decide, start=None if dry_run else start):
                outcomes.append(outcome)
                if not as_json:
                    shown.line(as_line(outcome))
        finally:  # also when it is interrupted: what is done is kept
            if not as_json:
                shown.line(summed_up(flow.name, outcomes, len(asked)))
    return outcomes
