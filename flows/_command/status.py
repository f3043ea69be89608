"""This module is `headrace status`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the services as JSON.")] = False,
) -> None:
    """Say which servers are up, where, and where their logs are.

    Example: headrace status --json
    """
    from dataclasses import asdict

    from flows import _services

    states = _services.status()
    if as_json:
        _screen.write_json([asdict(state) for state in states])
        return
    _screen.write_table(
        ("service", "state", "address", "process", "log"),
        [
            (
                state.title,
                state.state if state.ours else f"{state.state}, run by others",
                state.url,
                state.pid,
                state.log,
            )
            for state in states
        ],
    )
