"""This module takes stock of a local store and removes from it what others have found useless.

What is to go is renamed to `trash/` first and deleted there: a reader sees an object whole or not
at all, and what a killed process has left in the trash goes when the store is next opened.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from headrace.errors import StoreError
from headrace.store.layout import OBJECTS, QUARANTINE, STAGING, TRASH, is_digest, object_path
from headrace.store.manifest import Manifest, forget

Sort = Literal["table", "document", "files", "damaged", "abandoned", "set aside"]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """This is one thing that takes room in a store.

    Args:
        sort: What an object holds, or `damaged` where that cannot be read; `abandoned` by a writer
            that was killed; `set aside` because it was damaged.
        name: The digest, or the name of the directory.
        path: Where it lies.
        bytes: Its size; that of an object without its manifest.
        since: When it was written or set aside, UTC.
    """

    sort: Sort
    name: str
    path: Path
    bytes: int
    since: datetime


def objects(root: Path) -> Iterator[Piece]:
    """Yield every object of the store at `root`."""
    for shelf in sorted((root / OBJECTS).iterdir()):
        for name in sorted(os.listdir(shelf)) if shelf.is_dir() else ():
            if is_digest(name) and (piece := _object(root, name)) is not None:
                yield piece


def leftovers(root: Path) -> Iterator[Piece]:
    """Yield what no reader can reach: what is being written, and what was set aside.

    Whoever writes at the moment has a directory among the abandoned ones; its age tells.
    """
    folders: tuple[tuple[str, Sort], ...] = ((STAGING, "abandoned"), (QUARANTINE, "set aside"))
    for folder, sort in folders:
        for path in sorted((root / folder).iterdir()):
            try:
                # a rename leaves the time of modification and moves the time of change
                seconds = path.stat().st_ctime if sort == "set aside" else _newest(path)
            except FileNotFoundError:  # published or swept in the meantime
                continue
            since = datetime.fromtimestamp(seconds, UTC)
            yield Piece(sort=sort, name=path.name, path=path, bytes=_bytes(path), since=since)


def remove(root: Path, pieces: Iterable[Piece]) -> None:
    """Remove pieces of the store at `root`: first from sight, then from the disk.

    Raises:
        StoreError: The directory does not let us; what was removed until then stays removed.
    """
    gone = []
    for piece in pieces:
        target = root / TRASH / f"{piece.name[:64]}.{uuid.uuid4().hex[:8]}"
        try:
            os.rename(piece.path, target)
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise StoreError(
                f"The store at '{root}' does not let '{piece.path}' be removed: {problem}.",
                remedy="give this user the right to write there, then collect again.",
            ) from problem
        forget(piece.path)
        gone.append(target)
    for target in gone:
        shutil.rmtree(target, ignore_errors=True)


def _object(root: Path, digest: str) -> Piece | None:
    path = object_path(root, digest)
    try:
        manifest = Manifest.read(path, digest)
    except StoreError:
        if not path.exists():
            return None
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return Piece(sort="damaged", name=digest, path=path, bytes=_bytes(path), since=since)
    return Piece(
        sort=manifest.kind,
        name=digest,
        path=path,
        bytes=manifest.bytes,
        since=datetime.fromisoformat(manifest.written_at).astimezone(UTC),
    )


def _newest(path: Path) -> float:
    """Return when something was last written below `path`, in seconds since 1970."""
    folders = [path, *(p for p in path.rglob("*") if p.is_dir())]
    return max(folder.stat().st_mtime for folder in folders)


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
