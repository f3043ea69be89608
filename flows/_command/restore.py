"""This module is `headrace restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows._command import _screen


def restore(
    file: Annotated[Path, typer.Argument(help="An archive that `headrace backup` wrote.")],
    *,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder to restore to, absent or empty; the home by default."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was restored as JSON.")
    ] = False,
) -> None:
    """Make a home from an archive, verified to the byte, in any folder.

    Nothing is seen of it before everything is verified. An older database is migrated.

    Example: headrace restore monday.tar --home var
    """
    from dataclasses import asdict

    from flows import _backup
    from flows._command.backup import Telling

    with _screen.activity() as shown:
        done = _backup.restore(file, home, report=(lambda _: None) if as_json else Telling(shown))
    if as_json:
        _screen.write_json(asdict(done))
        return
    _screen.write(f"Restored {done.files:,} files to {done.home}, as of {done.created_at}.")
    if done.revision != done.revision_before:
        _screen.write(f"  Migrated the database from {done.revision_before} to {done.revision}.")
    for where, count in done.moved.items():
        _screen.write(f"  Rewrote {count:,} addresses in {where}: the home lies elsewhere now.")
    for run in done.crashed:
        _screen.write(f"  Recorded as crashed, since it was at work then: run:{run[:12]}")
    for change in done.other_versions:
        _screen.write(f"  Installed in another version than then: {change}")
    for what in done.elsewhere:
        _screen.write(f"  Was not in the home, bring it back with its own tools: {what}")
    _screen.write("Start its servers with `headrace up`.")
