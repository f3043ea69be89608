"""This module runs a flow for a command, and shows what came of it to scripts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.execution import FlowRun, Observer
    from headrace.workflow import Flow


def started(
    flow: Flow[..., Any],
    arguments: Mapping[str, Any],
    observers: tuple[Observer, ...],
    *,
    local: bool,
) -> FlowRun:
    """Run a flow in this process: with Prefect and MLflow, or alone."""
    if not local:
        from flows.runtime import run_flow

        return run_flow(flow, arguments, observers=observers)
    from headrace.execution import Session, run_plan

    plan = flow.plan_with(arguments).require_sound()
    session = Session.of_settings(origin="command line", observers=observers)
    return run_plan(plan, session)


def only_json(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """Let what bodies print go to standard error in a block, where a script reads JSON."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def outcome_as_json(finished: FlowRun) -> dict[str, Any]:
    """Return a finished run as JSON-like data for scripts."""
    return {
        "run": f"run:{finished.id}",
        "flow": finished.plan.flow,
        "state": finished.state,
        "pure_executed": finished.pure_executed(),
        "nodes": [
            {
                "node": path,
                "state": outcome.state,
                "seconds": round(outcome.seconds, 3),
                "message": outcome.message,
                "outputs": {name: repr(a) for name, a in outcome.outputs.items()},
            }
            for path, outcome in finished.outcomes.items()
        ],
        "links": dict(finished.links),
    }
