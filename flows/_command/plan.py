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

    Exits with 1 if the flow has problems.

    Example: headrace plan flight_delay -p late_minutes=30 --draw plan.svg
    """
    from flows._catalog import flow_named
    from flows._command._parameters import read_parameters
    from headrace.execution import Session, plan_status

    planned = flow_named(flow).plan_with(read_parameters(parameter or []))
    status = plan_status(planned, Session.of_settings())
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
    if planned.problems:
        raise typer.Exit(1)
