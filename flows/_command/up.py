"""This module is `headrace up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from flows._services import Progress


def up(
    service: Annotated[
        list[str] | None,
        typer.Argument(help="Services to start, with those they need; all by default."),
    ] = None,
    *,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A service to start; the same as naming it.")
    ] = None,
    foreground: Annotated[
        bool,
        typer.Option(
            "--foreground",
            help="Become one service, until it is stopped: for containers and supervisors. What it "
            "needs is not started.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the services as JSON at the end.")
    ] = False,
) -> None:
    """Start the servers and wait until they are ready.

    Runs are seen in them. What already runs is left alone, so a second `up` changes nothing.
    They listen on loopback, keep running when the terminal is closed, and are stopped by
    `headrace down`.

    Example: headrace up
    """
    from dataclasses import asdict

    from flows import _services

    names = tuple(dict.fromkeys([*(service or ()), *(only or ())]))
    if foreground:
        _become(names)
    with _screen.activity() as shown:
        report = _silent if as_json else _Report(shown)
        states = _services.up(only=names, report=report)
    if as_json:
        _screen.write_json([asdict(state) for state in states])
        return
    if isinstance(report, _Report) and not report.changed:
        _screen.write("Everything was up already; nothing was changed.")
    for state in states:
        _screen.write(f"  {state.title:<16} {state.url or ''}".rstrip())


def _become(names: tuple[str, ...]) -> NoReturn:
    from flows._services.foreground import become
    from headrace.errors import ParameterError

    if len(names) != 1:
        raise ParameterError(
            f"In the foreground runs one service, and {len(names) or 'none'} "
            f"{'is' if not names else 'are'} named.",
            remedy="Name one, as in `headrace up --only prefect --foreground`.",
        )
    become(names[0])


class _Report:
    """This tells what `up` reports, and remembers whether anything was started."""

    def __init__(self, shown: _screen.Activity) -> None:
        self.changed = False
        self._shown = shown

    def __call__(self, progress: Progress) -> None:
        names = " and ".join(progress.services)
        if progress.event == "waiting":
            self._shown.doing(f"waiting for the {names} ({progress.seconds:.0f} s)")
        elif progress.event == "locked":
            self._shown.line("Another `headrace up` or `down` is at work; waiting for it.")
        elif progress.event == "ready":
            self._shown.line(f"The {names} is ready after {progress.seconds:.1f} s.")
        elif progress.event == "left out":
            self._shown.line(f"The {names} is left out. {progress.reason}")
        elif progress.event == "starting":
            self.changed = True
            self._shown.line(f"Starting the {names}.")


def _silent(progress: Progress) -> None:
    """Keep standard output for the JSON."""
