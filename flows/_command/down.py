"""This module is `headrace down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from flows._services import Progress


def down(
    service: Annotated[
        list[str] | None, typer.Argument(help="Services to stop; all by default.")
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the stopped services as JSON.")
    ] = False,
) -> None:
    """Stop what `headrace up` started, and nothing else.

    Example: headrace down
    """
    from flows import _services

    def report(progress: Progress) -> None:
        names = " and ".join(progress.services)
        if progress.event == "locked":
            shown.line("Another `headrace up` or `down` is at work; waiting for it.")
        elif progress.event == "stopped":
            shown.line(f"Stopped the {names}.")
        else:
            shown.line(f"The {names} had ended by itself.")

    with _screen.activity() as shown:
        stopped = _services.down(
            only=tuple(service or ()), report=(lambda _: None) if as_json else report
        )
    if as_json:
        _screen.write_json(list(stopped))
    elif not stopped:
        _screen.write("Nothing was running.")
