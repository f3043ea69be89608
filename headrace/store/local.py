"""This module keeps artifacts in a directory of this machine, safely among many processes.

- `objects/ab/abcd…/` is one object: its files and `manifest.json`, never changed.
- `staging/…/` is an object being written; a rename makes it whole and visible at once.
- `quarantine/abcd….1f2e/` was damaged, and is kept for whoever wants to know why.
- `trash/…/` is on its way out: a rename takes it from sight before anything of it is deleted.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.clock import Clock, SystemClock
from headrace.content import canonical_json, checksums_digest, document_digest, table_digest
from headrace.errors import DamagedArtifactError, StoreError, UnknownNameError
from headrace.store import layout, occupancy, tables
from headrace.store.layout import is_digest
from headrace.store.manifest import Kind, Manifest, damaged, describe, forget, verify
from headrace.store.port import Stored

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

_DOCUMENT = "document.json"
_FILES = "files"
_ABANDONED_SECONDS = 86_400.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}
_GONE = (FileNotFoundError, NotADirectoryError)
_TRIES = 500  # how often somebody may discard what we put before we say so


class LocalStore:
    """This store is a directory; any number of processes may share it.

    Args:
        root: The directory; made when it does not exist.
        clock: Dates the objects and tells which staged ones were abandoned more than a day ago.

    Raises:
        StoreError: The directory cannot be made or written.
    """

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self._root = Path(os.path.abspath(root))
        self._clock = clock or SystemClock()
        self._objects = self._root / layout.OBJECTS
        self._staging = self._root / layout.STAGING
        self._quarantine = self._root / layout.QUARANTINE
        self._trash = self._root / layout.TRASH
        with self._explained("open"):
            for directory in (self._objects, self._staging, self._quarantine, self._trash):
                directory.mkdir(parents=True, exist_ok=True)
            self._sweep()

    @property
    def root(self) -> Path:
        """The directory that holds the store."""
        return self._root

    def put_table(self, table: pyarrow.Table) -> Stored:
        """Keep a table; see `Store.put_table`."""
        digest = table_digest(table)
        return self._put(
            "table",
            digest,
            lambda staged: tables.write(table, staged),
            rows=table.num_rows,
            schema=tables.encode_schema(table.schema),
        )

    def put_document(self, document: dict[str, Any]) -> Stored:
        """Keep a JSON-like document; see `Store.put_document`."""
        content = canonical_json(document)
        return self._put(
            "document",
            document_digest(document),
            lambda staged: _write_bytes(staged / _DOCUMENT, content),
        )

    def put_files(self, directory: Path) -> Stored:
        """Keep a copy of the files of a directory; see `Store.put_files`."""
        with self._explained("read"):
            entries = describe(Path(directory))
        digest = checksums_digest({name: entry.sha256 for name, entry in entries.items()})
        return self._put(
            "files", digest, lambda staged: _copy(Path(directory), sorted(entries), staged / _FILES)
        )

    def read_table(self, digest: str, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Return a table or these columns of it; see `Store.read_table`."""

        def read(path: Path, manifest: Manifest) -> pyarrow.Table:
            return tables.read(path, tables.decode_schema(manifest.schema or ""), columns)

        return self._read(digest, "table", read)

    def read_document(self, digest: str) -> dict[str, Any]:
        """Return a document; see `Store.read_document`."""

        def read(path: Path, _manifest: Manifest) -> dict[str, Any]:
            content: dict[str, Any] = json.loads((path / _DOCUMENT).read_bytes())
            return content

        return self._read(digest, "document", read)

    def files(self, digest: str) -> Path:
        """Return the directory of the kept files; see `Store.files`."""
        self._verified(digest, "files")
        return self._path(digest) / _FILES

    def has(self, digest: str) -> bool:
        """Say whether the content is here and intact; see `Store.has`."""
        try:
            self._verified(digest, None)
        except (UnknownNameError, DamagedArtifactError):
            return False
        return True

    def digests(self) -> Iterator[str]:
        """Yield the digests of everything that is kept; see `Store.digests`."""
        with self._explained("list"):
            for shelf in self._objects.glob("??"):
                yield from (entry.name for entry in shelf.glob("*") if is_digest(entry.name))

    def discard(self, digest: str) -> None:
        """Move the content to `quarantine/`; see `Store.discard`."""
        if not is_digest(digest):
            return
        path = self._path(digest)
        with self._explained("set aside"):
            with suppress(FileNotFoundError):  # unknown, or another process was first
                os.rename(path, self._quarantine / f"{digest}.{uuid.uuid4().hex[:8]}")
            forget(path)

    def check(self, digest: str) -> None:
        """Read the content anew, every byte and every row, whatever was verified before.

        Raises:
            UnknownNameError: The digest is not in the store.
            DamagedArtifactError: What is kept is no longer what was written.
            StoreError: It cannot be read.
        """
        forget(self._path(digest))
        manifest = self._verified(digest, None)
        if manifest.kind == "table" and table_digest(self.read_table(digest)) != digest:
            raise damaged(digest, "its rows are not those that it is named by")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let nothing be collected until the block ends; see `Store.in_use`."""
        with self._explained("use"), occupancy.using(self._root):
            yield

    # --- writing ---

    def _put(
        self,
        kind: Kind,
        digest: str,
        write: Callable[[Path], None],
        *,
        rows: int | None = None,
        schema: str | None = None,
    ) -> Stored:
        for _ in range(_TRIES):
            if not self.has(digest):
                self._set_damaged_aside(digest)
                with self._explained("write"), self._staged() as staged:
                    write(staged)
                    manifest = Manifest(
                        kind=kind,
                        digest=digest,
                        files=describe(staged),
                        rows=rows,
                        schema=schema,
                        written_at=self._clock.now().isoformat(),
                    )
                    _require_unchanged(digest, manifest)
                    manifest.write(staged)
                    _settle(staged)
                    self._publish(staged, self._path(digest))
            with suppress(UnknownNameError, DamagedArtifactError):  # somebody discarded it since
                return self._stored(digest)
        raise StoreError(
            f"The artifact {digest[:12]} was written {_TRIES} times, and discarded each time.",
            remedy="find out who discards it from the store while it is being made.",
        )

    def _set_damaged_aside(self, digest: str) -> None:
        """Make room for a sound copy, one process at a time, lest one takes another's away."""
        with self._explained("set aside"):
            if not self._path(digest).exists():
                return
            with open(self._root / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    self._verified(digest, None)
                except DamagedArtifactError:
                    self.discard(digest)
                except UnknownNameError:
                    pass  # set aside already; what appears there from now on is sound

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """Yield a new directory that is gone afterwards, whether it was published or not."""
        staged = self._staging / f"{os.getpid()}-{uuid.uuid4().hex}"
        staged.mkdir()
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _publish(self, staged: Path, path: Path) -> None:
        is_new = not path.parent.is_dir()
        path.parent.mkdir(exist_ok=True)
        try:
            os.rename(staged, path)
        except OSError as problem:
            if problem.errno not in _TAKEN:
                raise
            return  # another writer of the same content was first; both copies say the same
        _sync(path.parent)
        if is_new:
            _sync(self._objects)

    def _sweep(self) -> None:
        """Remove what writers that were killed have left behind."""
        now = self._clock.now().timestamp()
        for path in self._staging.iterdir():
            try:
                abandoned = now - path.stat().st_mtime > _ABANDONED_SECONDS
            except FileNotFoundError:  # published or swept in the meantime
                continue
            if abandoned:
                shutil.rmtree(path, ignore_errors=True)
        for path in self._trash.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    # --- reading ---

    def _path(self, digest: str) -> Path:
        return layout.object_path(self._root, digest)

    def _stored(self, digest: str) -> Stored:
        path = self._path(digest)
        with self._explained("read", digest):
            manifest = Manifest.read(path, digest)
        return Stored(digest=digest, uri=path.as_uri(), bytes=manifest.bytes, rows=manifest.rows)

    def _read(self, digest: str, kind: Kind, read: Callable[[Path, Manifest], T]) -> T:
        """Read what was verified; from the copy in its place, if that was put aside meanwhile."""
        path = self._path(digest)
        with self._explained("read", digest):
            before = None
            for _ in range(_TRIES):
                manifest, copy = self._verified(digest, kind), _inode(path)
                try:
                    return read(path, manifest)
                except _GONE:
                    # once may be chance: it was away, or its successor was given its inode
                    if copy is not None and before == copy == _inode(path):
                        raise
                    before = copy
        raise self._unknown(digest)

    def _verified(self, digest: str, kind: Kind | None) -> Manifest:
        path = self._path(digest)
        with self._explained("read", digest):
            for _ in range(_TRIES):
                copy = _inode(path) if is_digest(digest) else None
                if copy is None:
                    raise self._unknown(digest)
                try:
                    manifest = Manifest.read(path, digest)
                    verify(path, manifest)
                    break
                except (DamagedArtifactError, *_GONE):
                    if _inode(path) == copy:
                        raise
            else:
                raise self._unknown(digest)
        if kind is not None and manifest.kind != kind:
            raise StoreError(
                f"The artifact {digest[:12]} holds a {manifest.kind}, not a {kind}.",
                remedy=f"read it with {_READERS[manifest.kind]}.",
            )
        return manifest

    def _unknown(self, digest: str) -> UnknownNameError:
        return UnknownNameError(
            f"There is no artifact {digest[:12]} in the store at '{self._root}'.",
            remedy="check the digest, or run the flow that makes the artifact again.",
        )

    @contextmanager
    def _explained(self, verb: str, digest: str = "") -> Iterator[None]:
        """Turn what the operating system says into an error with a remedy.

        Args:
            verb: What is being done.
            digest: What is being read; when it is no longer there, that is what is said.
        """
        try:
            yield
        except OSError as problem:
            if digest and isinstance(problem, _GONE) and not self._path(digest).is_dir():
                raise self._unknown(digest) from None
            what = f"The store at '{self._root}' cannot {verb} an artifact: {problem}."
            if problem.errno in _NO_ROOM:
                remedy = "free some space or move the store, then run again."
            elif problem.errno in _NO_ACCESS:
                remedy = (
                    "give this user the right to read and write there, or choose another store."
                )
            else:
                remedy = "check that the path exists, is a directory and its disk is well."
            raise StoreError(what, remedy=remedy) from problem


_READERS = {
    "table": "read_table(digest)",
    "document": "read_document(digest)",
    "files": "files(digest)",
}


def _inode(path: Path) -> tuple[int, int] | None:
    """Return what tells one copy of an object from the next; None where there is none."""
    try:
        found = path.stat()
    except _GONE:
        return None
    return found.st_ino, found.st_ctime_ns  # an inode alone may be given to the next copy


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _copy(source: Path, names: Sequence[str], target: Path) -> None:
    target.mkdir()
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _require_unchanged(digest: str, manifest: Manifest) -> None:
    """Refuse files that somebody wrote to while they were copied; nobody else has the others."""
    if manifest.kind != "files":
        return
    copied = {n.removeprefix(f"{_FILES}/"): e.sha256 for n, e in manifest.files.items()}
    if checksums_digest(copied) != digest:
        raise StoreError(
            "The files changed while they were being copied into the store.",
            remedy="let whoever writes them finish first, then put them again.",
        )


def _settle(directory: Path) -> None:
    """Make everything in a directory read-only and have it on disk before it becomes visible."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            path = Path(parent, name)
            path.chmod(0o444)
            _sync(path)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
