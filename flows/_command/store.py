"""This module is `headrace store`: what takes room, whether it is sound, and making room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.execution.collecting import Share
    from headrace.lineage import Lineage
    from headrace.store import LocalStore

_HELP = """See what the store holds, check it, and remove what nobody needs any more.

Example: headrace store gc --dry-run
"""
_PLURALS = {"table": "tables", "document": "documents", "files": "models", "damaged": "damaged"}

app = typer.Typer(no_args_is_help=True, help=_HELP)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("gc")
def collect_garbage(
    *,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            help="Runs that keep their artifacts: an age (30d, 12h, 8w) or how many completed runs "
            "of each flow (last=5). May be given several times, and adds up; 30d and last=5 when "
            "it is not given.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")
    ] = False,
    without_registry: Annotated[
        bool,
        typer.Option(
            "--without-registry",
            help="Do not ask MLflow; take every model ever registered from here for registered.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove artifacts that nothing which is kept has read, made or come from.

    Kept in any case is what belongs to runs that run or wait, to runs tagged `keep`, and to models
    that are registered or served, with everything that led to them. Records of runs are never
    removed, and a flow that needs what is gone makes it again.

    Example: headrace store gc --keep 30d --keep last=5 --dry-run
    """
    from headrace.execution.collecting import collect
    from headrace.execution.keeping import Keep
    from serving.in_service import roots_in_service
    from serving.registry import Registry

    rules = Keep.parse(keep or ())
    store, lineage = _opened()
    registry = None if without_registry else Registry()
    collected = collect(
        store,
        lineage,
        keep=rules,
        roots=lambda: roots_in_service(lineage.database, registry),
        dry_run=dry_run,
    )
    if as_json:
        _screen.write_json(collected.to_json())
        return
    verb = "Would remove" if dry_run else "Removed"
    _screen.write(f"{verb} {_told(collected.removed)}; {_told(collected.kept)} stay.")
    if collected.removed:
        _screen.write()
        _write_shares(collected.removed)
    kept = ", ".join(f"{count} {reason}" for reason, count in collected.runs.items())
    _screen.write(f"\nRuns that keep their artifacts: {kept}.")


@app.command("show")
def show(*, as_json: AsJson = False) -> None:
    """Show how much the store holds, by sort.

    Example: headrace store show
    """
    from headrace.execution.collecting import shares
    from headrace.store import garbage

    root = _opened()[0].root
    found = shares([*garbage.objects(root), *garbage.leftovers(root)])
    if as_json:
        held = {sort: vars(share) for sort, share in found.items()}
        _screen.write_json({"store": str(root), "held": held})
        return
    _screen.write(f"The store at '{root}' holds {_told(found)}.")
    if found:
        _screen.write()
        _write_shares(found)


@app.command("verify")
def verify(*, as_json: AsJson = False) -> None:
    """Read everything that is stored, and say what is damaged and whom that concerns.

    Exit code 1 when something is damaged. A flow that needs it makes it again when it runs next.

    Example: headrace store verify
    """
    from headrace.execution.verifying import Damage, verified

    store, lineage = _opened()
    checked = 0
    damages: list[Damage] = []
    with store.in_use(), _screen.activity() as activity:
        for digest, damage in verified(store, lineage):
            checked += 1
            activity.doing(f"{checked:,} read, {len(damages):,} damaged: {digest[:12]}")
            if damage is not None:
                damages.append(damage)
    if as_json:
        _screen.write_json({"checked": checked, "damaged": [each.to_json() for each in damages]})
    else:
        for damage in damages:
            _screen.write(damage.text())
        _screen.write(f"{checked:,} artifacts were read; {len(damages):,} of them are damaged.")
    if damages:
        raise typer.Exit(1)


def _opened() -> tuple[LocalStore, Lineage]:
    """Return the store and the lineage that the settings name."""
    from pathlib import Path

    from headrace.lineage import Lineage
    from headrace.settings import settings
    from headrace.store import LocalStore

    return LocalStore(Path(settings().store)), Lineage(settings().database_url)


def _told(found: Mapping[str, Share]) -> str:
    count = sum(share.count for share in found.values())
    return f"{count:,} pieces of {_size(sum(share.bytes for share in found.values()))}"


def _write_shares(found: Mapping[str, Share]) -> None:
    rows: list[list[Any]] = [
        [
            _PLURALS.get(sort, sort),
            f"{share.count:,}",
            _size(share.bytes),
            f"{share.oldest:%Y-%m-%d %H:%M}",
            f"{share.newest:%Y-%m-%d %H:%M}",
        ]
        for sort, share in found.items()
    ]
    _screen.write_table(["what", "count", "size", "oldest (UTC)", "newest (UTC)"], rows)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
