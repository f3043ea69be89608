"""This module is `headrace plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows._command import _screen
from headrace.errors import ParameterError


def plan(
    flow: Annotated[str, typer.Argument(help="Name of a flow, or path/to/file.py[:flow].")],
    *,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="A parameter: name=value.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    draw: Annotated[
        Path | None,
        typer.Option("--draw", help="Write a drawing to this file: .svg or .mmd (Mermaid)."),
    ] = None,
) -> None:
    """Read and check a flow without running it; say what is cached and why the rest is not.

    Columns that changed since the flow's last run are shown with everybody whom they affect. Exits
    with 1 if the flow has problems.

    Example: headrace plan flight_delay -p late_minutes=30 --draw plan.svg
    """
    from flows._catalog import flow_named
    from flows._command._parameters import read_parameters
    from flows._schema_changes import changes_before, details
    from headrace.execution import Session, plan_status

    found = flow_named(flow)
    found.check_starts()
    planned = found.plan_with(read_parameters(parameter or []))
    session = Session.of_settings()
    status, changes = plan_status(planned, session), changes_before(planned, session)
    if draw is not None:
        drawn = {".svg": planned.svg, ".mmd": planned.mermaid}.get(draw.suffix)
        if drawn is None:
            raise ParameterError(
                f"'{draw}' ends in neither .svg nor .mmd.", remedy="Name the file plan.svg."
            )
        draw.write_text(drawn(status.by_node), encoding="utf-8")
    if as_json:
        shown = planned.to_json(status.by_node)
        shown["share_uncached"] = status.share_uncached
        shown["schema_changes"] = None if changes is None else changes.to_json()
        _screen.write_json(shown)
    else:
        _screen.write(planned.table(status.by_node))
        _screen.write()
        _screen.write(
            f"{len(planned.nodes)} nodes, {len(status.cached)} cached; "
            f"{len(status.uncached)} can never be cached ({status.share_uncached:.0%})."
        )
        for path, reason in status.uncached.items():
            _screen.write(f"  {path}: {reason}")
        if changes is not None:
            _screen.write()
            _screen.write(details(changes))
    if planned.problems:
        raise typer.Exit(1)
