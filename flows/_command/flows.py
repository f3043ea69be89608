"""This module is `headrace flows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.schedules import Schedule, When


def flows(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the flows as JSON.")] = False,
) -> None:
    """List the flows that can be planned and run: their parameters, and when they start.

    Example: headrace flows
    """
    from flows._catalog import find_flows

    found = find_flows()
    for flow in found.values():
        flow.check_starts()
    if as_json:
        _screen.write_json(
            [
                {
                    "name": flow.name,
                    "module": flow.module,
                    "summary": flow.summary,
                    "grants": flow.grants,
                    "schedules": [_start(each) for each in flow.schedules],
                    "triggers": [_start(each) for each in flow.triggers],
                    "at_once": flow.at_once,
                    "parameters": flow.parameters.model.model_json_schema(),
                }
                for flow in found.values()
            ]
        )
        return
    for flow in found.values():
        _screen.write(f"{flow.name}: {flow.summary}")
        for name, field in flow.parameters.model.model_fields.items():
            default = "required" if field.is_required() else f"default {field.default!r}"
            _screen.write(f"    -p {name}=…  {field.description or ''} ({default})")
        for start in (*flow.schedules, *flow.triggers):
            given = ", ".join(f"{name}={value!r}" for name, value in start.parameters.items())
            _screen.write(f"    starts {start}{f', with {given}' if given else ''}")
        if flow.at_once is not None:
            _screen.write(f"    at most {flow.at_once} at once")


def _start(start: Schedule | When) -> dict[str, Any]:
    """Return when a flow starts: in words, and what the words say."""
    from dataclasses import asdict

    return {"kind": type(start).__name__, "text": str(start), **asdict(start)}
