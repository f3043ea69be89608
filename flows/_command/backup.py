"""This module is `headrace backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from flows._backup import Progress


def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as monday.tar.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was backed up as JSON.")
    ] = False,
) -> None:
    """Write the whole home into one file: runs, artifacts, models, decisions.

    The servers' data is in it too. They may be up, and runs at work. Not in it: logs, what is of
    the moment, and what the settings put outside of the home.

    Example: headrace backup monday.tar
    """
    from dataclasses import asdict

    from flows import _backup

    with _screen.activity() as shown:
        done = _backup.backup(file, report=(lambda _: None) if as_json else Telling(shown))
    if as_json:
        _screen.write_json(asdict(done))
        return
    _screen.write(
        f"Backed up {done.files:,} files of {done.home} to {done.archive} "
        f"({done.bytes / 1e6:,.1f} MB)."
    )
    for name in done.vanished:
        _screen.write(f"  Removed meanwhile, so not in it: {name}")
    for what in done.elsewhere:
        _screen.write(f"  Not in it, back it up with its own tools: {what}")
    _screen.write(f"Bring it back with `headrace restore {file} --home FOLDER`.")


class Telling:
    """This shows how far a backup or a restore is.

    Args:
        shown: Where to.
    """

    def __init__(self, shown: _screen.Activity) -> None:
        self._shown = shown

    def __call__(self, progress: Progress) -> None:
        self._shown.doing(
            f"{progress.files:,} files, {progress.bytes / 1e6:,.1f} MB: {progress.name}"
        )
