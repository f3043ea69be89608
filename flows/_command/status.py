"""This module is `headrace status`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say which servers are up, how busy the machine is, and which nodes run or wait.

    Example: headrace status --json
    """
    from flows._command._machine_state import MachineState

    here = MachineState.here()
    if as_json:
        _screen.write_json(here.to_json())
        return
    from flows._command._status_text import write_status

    write_status(here)
