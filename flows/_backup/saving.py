"""This module copies a home into an archive, while its services are up."""

from __future__ import annotations

import fcntl
import importlib.metadata
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flows._backup.archive import ArchiveWriter, Header, Manifest
from flows._backup.databases import revision_of, snapshot
from flows._backup.layout import Found, contents, kept_elsewhere
from headrace.clock import current_clock
from headrace.errors import ParameterError, StoreError
from headrace.settings import Settings, settings

_WRITERS = ("headrace", "prefect", "mlflow", "feast", "ray")
_SMALL_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Progress:
    """This is how far a backup or a restore is: the last file, how many, and bytes so far."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Backup:
    """This is what was backed up.

    Attributes:
        archive: The file.
        home: The home.
        revision: Revision of the database of runs and lineage; none where there was none.
        files: How many files.
        bytes: Size of the archive.
        vanished: Files that were removed while the home was copied, so that they are not in it.
        elsewhere: What lies outside of the home, and so is not in it.
    """

    archive: str
    home: str
    revision: str | None
    files: int
    bytes: int
    vanished: tuple[str, ...]
    elsewhere: tuple[str, ...]


Report = Callable[[Progress], None]


def backup(archive: Path, *, of: Settings | None = None, report: Report = lambda _: None) -> Backup:
    """Write the whole home into one file; services may be up, and runs at work.

    The file appears when it is whole; until then it is `<archive>.partial`.

    Args:
        archive: A file that does not exist yet, outside of the home.
        of: Settings to follow; those of this process by default.
        report: Is told how far it is.

    Raises:
        ParameterError: The file exists or lies in the home, or there is no home.
        StoreError: The home cannot be read, or the archive not written.
        DamagedArtifactError: A database of the home is damaged.
    """
    of = of or settings()
    archive = archive.expanduser().absolute()
    _check(archive, of.home)
    partial = archive.with_name(f"{archive.name}.partial")
    try:
        with _claimed(partial) as to:
            manifest = _write(to, of, archive.parent, report)
            to.flush()
            os.fsync(to.fileno())
            size = to.tell()
            partial.rename(archive)
            _sync(archive.parent)
    except (OSError, sqlite3.Error) as problem:
        raise StoreError(
            f"The home '{of.home}' cannot be backed up to '{archive}': {problem}.",
            remedy="look at the room on that disk and at who may read and write there; nothing "
            "that looks like a backup was left.",
        ) from problem
    return Backup(
        archive=str(archive),
        home=str(of.home),
        revision=manifest.header.revision,
        files=len(manifest.files),
        bytes=size,
        vanished=manifest.vanished,
        elsewhere=manifest.elsewhere,
    )


def _check(archive: Path, home: Path) -> None:
    if not home.is_dir():
        raise ParameterError(
            f"There is no home at '{home}'.",
            remedy="Run the command where headrace.toml lies, or name the home: HEADRACE_HOME.",
        )
    if archive.exists():
        raise ParameterError(
            f"'{archive}' exists.", remedy="Name another file, or move that one away."
        )
    if archive.resolve().is_relative_to(home.resolve()):
        raise ParameterError(
            f"'{archive}' lies in the home '{home}', which it is to hold.",
            remedy="Name a file outside of the home, best on another disk.",
        )
    if not archive.parent.is_dir():
        raise ParameterError(
            f"There is no folder '{archive.parent}'.", remedy="Make it, or name another file."
        )


@contextmanager
def _claimed(partial: Path) -> Iterator[BinaryIO]:
    """Open the unfinished file for this process alone; it is gone after a failure."""
    with open(partial, "r+b", opener=_open_or_make) as to:
        try:
            fcntl.flock(to, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"Another backup is writing '{partial}'.",
                remedy="wait for it to end, or name another file.",
            ) from None
        try:
            to.truncate(0)  # what a backup that was killed had written
            yield to
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _open_or_make(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _write(to: BinaryIO, of: Settings, folder: Path, report: Report) -> Manifest:
    vanished: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".headrace-backup-", dir=folder) as work:
        ours = of.home / "headrace.db"
        # A migration between this look and the copy is found when the copy is opened.
        header = Header(
            home=str(of.home),
            revision=revision_of(ours) if ours.is_file() else None,
            created_at=current_clock().now().isoformat(),
            versions=_versions(),
        )
        writer = ArchiveWriter(to, header)
        with _nothing_collected(of):
            for found in contents(of.home):
                try:
                    _add(found, writer, Path(work, "copy"))
                except FileNotFoundError:
                    vanished.append(found.name)
                    continue
                report(Progress(name=found.name, files=len(writer.files), bytes=to.tell()))
        return writer.finish(vanished=tuple(vanished), elsewhere=kept_elsewhere(of))


def _nothing_collected(of: Settings) -> AbstractContextManager[None]:
    """Let `headrace store gc` wait: artifacts that the databases name are to be in the archive."""
    from headrace.store.occupancy import using

    store = of.home / "store"
    return using(store) if store.is_dir() else nullcontext()


def _add(found: Found, writer: ArchiveWriter, copy: Path) -> None:
    """Add a file in a state that it had at one moment.

    Raises:
        FileNotFoundError: It is no more; the archive is as before.
    """
    status = found.path.stat()
    told = {"mode": status.st_mode, "mtime_ns": status.st_mtime_ns}
    if found.sort == "database":
        copy.unlink(missing_ok=True)
        snapshot(found.path, copy)
    elif found.sort == "growing":
        shutil.copyfile(found.path, copy)
    with open(found.path if found.sort == "file" else copy, "rb") as content:
        size = os.fstat(content.fileno()).st_size
        if size <= _SMALL_BYTES:  # may be written over in place
            data = content.read()
            writer.add(found.name, io.BytesIO(data), size=len(data), **told)
            return
        try:
            writer.add(found.name, content, size=size, **told)
        except EOFError:
            raise OSError(f"'{found.path}' became shorter while it was copied") from None


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _WRITERS}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
