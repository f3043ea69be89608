"""This module is `headrace flows`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen


def flows(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the flows as JSON.")] = False,
) -> None:
    """List the flows that can be planned and run, with their parameters.

    Example: headrace flows
    """
    from flows._catalog import find_flows

    found = find_flows()
    if as_json:
        _screen.write_json(
            [
                {
                    "name": flow.name,
                    "module": flow.module,
                    "summary": flow.summary,
                    "grants": flow.grants,
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
