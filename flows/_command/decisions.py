"""This module is `headrace decisions`: what endpoints have logged, taking it out, repairing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flows._command import _decisions_text as told
from flows._command import _screen

if TYPE_CHECKING:
    from headrace.decisions import Retained
    from headrace.decisions.exporting import Beside, Format

_HELP = """See what endpoints have decided, export it, and repair a damaged log.

Example: headrace decisions show flight_delay
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

Name = Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_logs(*, as_json: AsJson = False) -> None:
    """List the decision logs: how much each holds, and since when.

    Example: headrace decisions list
    """
    from headrace.decisions.summary import summary_of
    from headrace.settings import settings

    root = settings().home / "decisions"
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = {folder.name: summary_of(folder) for folder in folders}
    if as_json:
        _screen.write_json([told.summary(name, each) for name, each in found.items()])
    elif not found:
        _screen.write("Nothing was decided yet; an endpoint that answers makes a log.")
    else:
        told.write_list(found)


@app.command("show")
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show a log: what it holds, how long that is kept, and what would be dropped now.

    Example: headrace decisions show flight_delay
    """
    from headrace.decisions.summary import summary_of

    folder = _folder(name)
    summary = summary_of(folder)
    kept, drops = _kept(name, folder)
    if as_json:
        said: dict[str, Any] = {"retention": kept, "would_drop": drops and told.dropping(drops)}
        _screen.write_json(told.summary(name, summary) | said)
    else:
        told.write_log(name, summary, kept, drops)


@app.command("export")
def export(
    name: Name,
    *,
    to: Annotated[Path, typer.Option("--to", help="The file to write.")],
    form: Annotated[
        str | None,
        typer.Option("--format", help="parquet, jsonl or csv; by the file's ending by default."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="First day or moment, such as 2026-01-31; UTC without a zone."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="The day or moment before which; likewise.")
    ] = None,
    beside: Annotated[
        str, typer.Option("--with", help="With each decision: outcomes, shadows, or both.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a file that is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write decisions to one file, with what became of them.

    Example: headrace decisions export flight_delay --to january.parquet --from 2026-01-01
    """
    from headrace.decisions.exporting import export as write

    folder = _folder(name)
    with _screen.activity() as shown, told.Patience(shown, f"Exporting '{name}'"):
        done = write(
            folder,
            to,
            format=cast("Format", form or to.suffix.removeprefix(".")),
            since=told.moment(since, "--from"),
            until=told.moment(until, "--until"),
            beside=cast("list[Beside]", [each for each in beside.split(",") if each]),
            replace=replace,
        )
    if as_json:
        _screen.write_json(
            {"file": str(done.path), "decisions": done.decisions, "bytes": done.bytes}
        )
        return
    _screen.write(f"Wrote {done.decisions:,} decisions to {done.path} ({told.size(done.bytes)}).")


@app.command("repair")
def repair(
    name: Name,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what is damaged.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set damaged bytes of a log aside, say what is lost with them, and let the log open again.

    A process that ended in the middle of a write leaves no damage; a disk that lost bytes does. The
    bytes are kept in files beside the log. Try first to bring the segment back from a copy.

    Example: headrace decisions repair flight_delay --dry-run
    """
    from headrace.decisions.repairing import damages_in
    from headrace.decisions.repairing import repair as set_aside

    folder = _folder(name)
    with _screen.activity() as shown, told.Patience(shown, f"Reading the segments of '{name}'"):
        damages = damages_in(folder) if dry_run else set_aside(folder)
    if as_json:
        _screen.write_json([told.damage(each) for each in damages])
    else:
        told.write_damages(name, damages, dry_run=dry_run)


def _folder(name: str) -> Path:
    """Return the folder of an endpoint's log.

    Raises:
        UnknownNameError: It has none.
    """
    from headrace.errors import UnknownNameError
    from headrace.settings import settings
    from serving.hosted import decisions_folder

    folder = decisions_folder(settings(), name)
    known = folder.parent.iterdir() if folder.parent.is_dir() else ()
    names = [path.name for path in known if path.is_dir()]
    if name not in names:
        raise UnknownNameError.of(
            "decision log of an endpoint",
            name,
            names,
            remedy="Run `headrace decisions list` to see those there are.",
        )
    return folder


def _kept(name: str, folder: Path) -> tuple[dict[str, Any] | None, Retained | None]:
    """Return how long an endpoint's decisions are kept, and what that drops now."""
    from headrace.clock import current_clock
    from headrace.decisions import would_drop
    from headrace.errors import UnknownNameError
    from serving.compacting import kept_of
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    try:
        spec, route = endpoints.spec(name), endpoints.route(name)
    except UnknownNameError:  # its endpoint is gone, or is of another home
        return None, None
    retention, floor = kept_of(spec, route)
    if retention.keep_days is None:
        return None, None
    kept = {
        "keep_days": retention.keep_days,
        "at_least_decisions": retention.at_least_decisions,
        "window_hours": floor.window_hours,
        "experiments": sorted(floor.experiments),
    }
    return kept, would_drop(folder, retention, now=current_clock().now(), floor=floor)
