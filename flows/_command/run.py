"""This module is `headrace run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.execution import FlowRun


def run(
    flow: Annotated[str, typer.Argument(help="Name of a flow, or path/to/file.py[:flow].")],
    *,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="A parameter: name=value.")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Run in this process, without Prefect and MLflow.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON at the end.")
    ] = False,
) -> None:
    """Run a flow and show how it goes; what is known already is reused.

    The run is seen in the Prefect UI and logged in MLflow. Exits with 1 if a node failed.

    Example: headrace run flight_delay -p late_minutes=30
    """
    from flows._catalog import flow_named
    from flows._command._parameters import read_parameters
    from flows._command._progress import Progress

    found = flow_named(flow)
    arguments = read_parameters(parameter or [])
    with _screen.activity() as shown:
        progress = Progress(shown, quiet=as_json)
        finished = _run(found, arguments, progress, local=local)
    if as_json:
        _screen.write_json(outcome_as_json(finished))
    else:
        from flows._command._summary import write_summary

        write_summary(finished)
    if finished.state != "completed":
        raise typer.Exit(1)


def _run(found: Any, arguments: dict[str, Any], progress: Any, *, local: bool) -> FlowRun:
    if not local:
        from flows.runtime import run_flow

        return run_flow(found, arguments, observers=(progress,))
    from headrace.execution import Session, run_plan

    plan = found.plan_with(arguments).require_sound()
    session = Session.of_settings(origin="command line", observers=(progress,))
    return run_plan(plan, session)


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
