"""This module is `headrace init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows._command import _screen


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where: a folder that is absent or empty.")
    ],
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Its package; the folder's name by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Make a repository of your own: a flow, operators, a feature view, data and tests.

    Example: headrace init orders --name acme
    """
    from dataclasses import asdict

    from flows._init import make_repository

    made = make_repository(folder, name)
    if as_json:
        _screen.write_json(asdict(made))
        return
    _screen.write(f"Made {made.folder} with the package '{made.name}':")
    for file in made.files:
        _screen.write(f"  {file}")
    _screen.write()
    _screen.write("What to do next:")
    for command, what in (
        (f"cd {shlex.quote(str(folder))}", ""),
        ("headrace plan late_orders", "check the flow; nothing runs"),
        ("headrace run --local late_orders", "run it; the second time nothing is computed again"),
        ("python -m pytest", "its tests"),
        ("headrace up", "the servers, with a launch form for the flow"),
    ):
        _screen.write(f"  {command:<34} {what}".rstrip())
