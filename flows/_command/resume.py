"""This module is `headrace resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.execution import FlowRun
    from headrace.lineage import RunRecord


def resume(
    run: Annotated[str, typer.Argument(help="A run that is not running: run:<id>, latest:<flow>.")],
    *,
    flow: Annotated[
        str | None,
        typer.Option("--flow", help="Where its flow is, if outside the roots: path/to/file.py."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON at the end.")
    ] = False,
) -> None:
    """Take up a run that failed, crashed, was cancelled or paused, as the same run.

    What is done is reused; in Prefect and MLflow the run goes on where it stopped.

    Example: headrace resume latest:flight_delay
    """
    from flows._command._summary import show_outcome
    from headrace.execution import Session, resumable_run

    found = resumable_run(Session.of_settings().lineage, run)
    finished = go_on(found, flow, quiet=as_json)
    show_outcome(finished, as_json=as_json)


def go_on(found: RunRecord, flow: str | None, *, quiet: bool) -> FlowRun:
    """Take up a run in this process, as the same run, and show how it goes.

    Args:
        found: The run.
        flow: Where its flow is, None when it is found by its name.
        quiet: Show nothing.
    """
    from flows._catalog import flow_named
    from flows._command._progress import Progress

    named = flow_named(flow or found.flow)
    with _screen.activity() as shown:
        progress = Progress(shown, quiet=quiet)
        if found.prefect_run_id is not None:
            from flows.runtime import resume_flow

            return resume_flow(named, found, observers=(progress,))
        from headrace.execution import resume_run

        return resume_run(named, found, observers=(progress,))
