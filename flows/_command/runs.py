"""This module is `headrace runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen


def runs(
    *,
    flow: Annotated[str | None, typer.Option("--flow", help="Only runs of this flow.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List past runs, newest first.

    Example: headrace runs --flow flight_delay
    """
    from dataclasses import asdict

    from headrace.execution import Session
    from headrace.execution.abandoned import close_abandoned

    lineage = Session.of_settings().lineage
    close_abandoned(lineage)
    found = lineage.runs(limit, flow)
    if as_json:
        _screen.write_json([asdict(run) for run in found])
        return
    _screen.write_table(
        ["run", "flow", "state", "started (UTC)", "from", "by"],
        [
            [
                f"run:{run.id[:12]}",
                run.flow,
                run.state,
                f"{run.started_at:%Y-%m-%d %H:%M:%S}",
                run.origin,
                run.actor,
            ]
            for run in found
        ],
    )
