"""This module brings a home back from an archive: whole, verified and at its new place, or not."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows._backup.moving import move
from flows._backup.saving import Progress
from flows._backup.unpacking import unpack
from headrace.errors import ParameterError, ServiceError, StoreError
from headrace.settings import Settings, settings

if TYPE_CHECKING:
    from flows._backup.archive import Manifest


@dataclass(frozen=True, kw_only=True)
class Restored:
    """This is what was restored.

    Attributes:
        home: Where the home lies now.
        backed_up_from: Where it lay.
        created_at: When it was backed up, ISO 8601 in UTC.
        files: How many files.
        revision: Revision of the database now.
        revision_before: Revision in the archive; none where there was no database.
        moved: How many addresses were rewritten, by where they were.
        crashed: Runs that were at work when the home was backed up; they are recorded as crashed.
        other_versions: What is installed in another version than the one that wrote the home, as
            "prefect 3.8.8, now 3.9.0".
        vanished: Files that were removed while the home was backed up.
        elsewhere: What belonged to the installation and lay outside of the home.
    """

    home: str
    backed_up_from: str
    created_at: str
    files: int
    revision: str | None
    revision_before: str | None
    moved: dict[str, int]
    crashed: tuple[str, ...]
    other_versions: tuple[str, ...]
    vanished: tuple[str, ...]
    elsewhere: tuple[str, ...]


def restore(
    archive: Path,
    home: Path | None = None,
    *,
    of: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Restored:
    """Make a home from an archive; until everything is verified nothing is seen of it.

    Args:
        archive: A file that `backup` wrote.
        home: Where the home is to lie: absent, or an empty folder. That of the settings by default.
        of: Settings to follow; those of this process by default.
        report: Is told how far it is.

    Raises:
        ParameterError: There is no such file, or something lies in the home.
        ServiceError: Services of that home are up.
        DamagedArtifactError: The archive is not what was written.
        StoreError: A newer Headrace wrote it, or it cannot be read, or the home not written.
    """
    of = of or settings()
    home = (home or of.home).expanduser().absolute()
    _check(archive, home, of)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{home.name}.restoring-", dir=home.parent))
    except OSError as problem:
        raise _cannot(archive, home, problem) from problem
    try:
        inner = staged / "home"
        inner.mkdir()
        manifest = unpack(archive, inner, report)
        restored = _settle(inner, home, manifest)
        os.sync()  # what was unpacked is on the disk before it has its name
        os.rename(inner, home)  # onto an empty folder, or none
    except (OSError, sqlite3.Error) as problem:
        raise _cannot(archive, home, problem) from problem
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return restored


def _check(archive: Path, home: Path, of: Settings) -> None:
    if not archive.is_file():
        raise ParameterError(
            f"There is no file '{archive}'.", remedy="Name a file that `headrace backup` wrote."
        )
    if home.exists() and not home.is_dir():
        raise ParameterError(f"'{home}' is no folder.", remedy="Name a folder with --home.")
    if home.is_dir() and any(home.iterdir()):
        from flows._services import processes

        ours = of.model_copy(update={"home": home})
        up = [
            each.title for each in processes.recorded(ours).values() if processes.process_of(each)
        ]
        if up:
            names, verbs, them = " and the ".join(up), "are up and write", "them"
            if len(up) == 1:
                verbs, them = "is up and writes", "it"
            raise ServiceError(
                f"The {names} of '{home}' {verbs} there.",
                remedy=f"Stop {them} with `headrace down`, and move that home away.",
            )
        raise ParameterError(
            f"'{home}' is not empty: it holds '{min(p.name for p in home.iterdir())}'.",
            remedy="Move it away, or restore to another folder with --home.",
        )
    _require_nobody_answers(home, of)


def _require_nobody_answers(home: Path, of: Settings) -> None:
    """Refuse a home that was removed under its servers: they would write over what is restored."""
    from flows._services import ports

    if home != of.home:
        return
    for ours, host, port in (
        (of.runs_prefect, of.prefect_host, of.prefect_port),
        (of.runs_mlflow, of.mlflow_host, of.mlflow_port),
    ):
        if ours and not ports.is_free(host, port):
            raise ServiceError(
                f"A server listens on {host}:{port}, the place of one of '{home}': "
                f"{ports.holder(port)}.",
                remedy="Stop it; or, if it belongs to another home, restore with a port of its own "
                "in headrace.toml.",
            )


def _settle(folder: Path, home: Path, manifest: Manifest) -> Restored:
    """Bring an unpacked home up to date, and to its place, before anybody sees it."""
    header = manifest.header
    revision: str | None = None
    crashed: tuple[str, ...] = ()
    if (folder / "headrace.db").is_file():
        revision, crashed = _upgrade(folder / "headrace.db", header.created_at)
    moved = move(folder, old=Path(header.home), new=home)
    (folder / "headrace.db.lock").unlink(missing_ok=True)
    installed = {name: importlib.metadata.version(name) for name in header.versions}
    return Restored(
        home=str(home),
        backed_up_from=header.home,
        created_at=header.created_at,
        files=len(manifest.files),
        revision=revision,
        revision_before=header.revision,
        moved=moved,
        crashed=crashed,
        other_versions=tuple(
            f"{name} {was}, now {installed[name]}"
            for name, was in sorted(header.versions.items())
            if installed[name] != was
        ),
        vanished=manifest.vanished,
        elsewhere=manifest.elsewhere,
    )


def _upgrade(database: Path, created_at: str) -> tuple[str, tuple[str, ...]]:
    """Migrate the database, and close the runs that nobody goes on with."""
    from headrace.clock import current_clock
    from headrace.lineage import Lineage
    from headrace.lineage.database import HEAD

    lineage = Lineage(database)
    try:
        running = lineage.running()
        for run in running:
            said = f"it was at work when its home was backed up, at {created_at}"
            lineage.finish_run(run.id, "crashed", said, current_clock().now())
    finally:
        lineage.close()
    return HEAD, tuple(run.id for run in running)


def _cannot(archive: Path, home: Path, problem: Exception) -> StoreError:
    return StoreError(
        f"'{archive}' cannot be restored to '{home}': {problem}.",
        remedy="look at the room on that disk and at who may read and write there; nothing was "
        "changed.",
    )
