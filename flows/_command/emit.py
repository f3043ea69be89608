"""This module is `headrace emit`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen


def emit(
    event: Annotated[str, typer.Argument(help="What happened, such as shop.closed.")],
    *,
    resource: Annotated[
        str, typer.Option("--resource", help="What it happened to, such as shop.berlin.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", help="What the event carries: name=value."),
    ] = None,
) -> None:
    """Say that something happened: flows with `When(...)` for it start.

    Example: headrace emit shop.closed --resource shop.berlin -p day=2013-07-04
    """
    from flows._catalog import find_flows
    from flows._command._parameters import read_parameters
    from flows._events import emit_now

    emit_now(event, resource=resource, payload=read_parameters(parameter or []))
    waiting = [
        flow.name
        for flow in find_flows().values()
        if any(trigger.is_met_by(event, resource) for trigger in flow.triggers)
    ]
    told = f"Prefect was told of '{event}' at {resource}"
    _screen.write(f"{told}; it starts {', '.join(waiting)}." if waiting else f"{told}.")
    if not waiting:
        _screen.write("No flow here waits for it; `headrace flows` says what they wait for.")
