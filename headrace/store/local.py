"""This module keeps artifacts in a directory of this machine, safely among many processes.

- `objects/ab/abcd…/` is one object: its files and `manifest.json`, never changed.
- `staging/…/` is an object being written; a rename makes it whole and visible at once.
- `quarantine/abcd….1f2e/` was damaged, and is kept for whoever wants to know why.
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
from typing import TYPE_CHECKING, Any

from headrace.clock import Clock, SystemClock
from headrace.content import canonical_json, checksums_digest, document_digest, table_digest
from headrace.errors import DamagedArtifactError, StoreError, UnknownNameError
from headrace.store import tables
from headrace.store.manifest import Kind, Manifest, describe, forget, verify
from headrace.store.port import Stored

if TYPE_CHECKING:
    import pyarrow

_DOCUMENT = "document.json"
_FILES = "files"
_ABANDONED_SECONDS = 86_400.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}


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
        self._objects = self._root / "objects"
        self._staging = self._root / "staging"
        self._quarantine = self._root / "quarantine"
        with self._explained("open"):
            for directory in (self._objects, self._staging, self._quarantine):
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
        manifest = self._verified(digest, "table")
        with self._explained("read"):
            schema = tables.decode_schema(manifest.schema or "")
            return tables.read(self._path(digest), schema, columns)

    def read_document(self, digest: str) -> dict[str, Any]:
        """Return a document; see `Store.read_document`."""
        self._verified(digest, "document")
        with self._explained("read"):
            content: dict[str, Any] = json.loads((self._path(digest) / _DOCUMENT).read_bytes())
            return content

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
                yield from (entry.name for entry in shelf.glob("*") if _is_digest(entry.name))

    def discard(self, digest: str) -> None:
        """Move the content to `quarantine/`; see `Store.discard`."""
        if not _is_digest(digest):
            return
        path = self._path(digest)
        with self._explained("set aside"):
            with suppress(FileNotFoundError):  # unknown, or another process was first
                os.rename(path, self._quarantine / f"{digest}.{uuid.uuid4().hex[:8]}")
            forget(path)

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
                if kind == "files":
                    _require_unchanged(digest, manifest)
                manifest.write(staged)
                _settle(staged)
                self._publish(staged, self._path(digest))
        return self._stored(digest)

    def _set_damaged_aside(self, digest: str) -> None:
        """Make room for a sound copy, one process at a time, lest one takes another's away."""
        if self._path(digest).exists():
            with self._explained("set aside"), open(self._root / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self.has(digest):
                    self.discard(digest)

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
        for entry in os.scandir(self._staging):
            try:
                abandoned = now - entry.stat().st_mtime > _ABANDONED_SECONDS
            except FileNotFoundError:  # published or swept in the meantime
                continue
            if abandoned:
                shutil.rmtree(entry.path, ignore_errors=True)

    # --- reading ---

    def _path(self, digest: str) -> Path:
        return self._objects / digest[:2] / digest

    def _stored(self, digest: str) -> Stored:
        path = self._path(digest)
        manifest = Manifest.read(path, digest)
        return Stored(digest=digest, uri=path.as_uri(), bytes=manifest.bytes, rows=manifest.rows)

    def _verified(self, digest: str, kind: Kind | None) -> Manifest:
        path = self._path(digest)
        with self._explained("read"):
            if not _is_digest(digest) or not path.is_dir():
                raise UnknownNameError(
                    f"There is no artifact {digest[:12]} in the store at '{self._root}'.",
                    remedy="check the digest, or run the flow that makes the artifact again.",
                )
            manifest = Manifest.read(path, digest)
            verify(path, manifest)
        if kind is not None and manifest.kind != kind:
            raise StoreError(
                f"The artifact {digest[:12]} holds a {manifest.kind}, not a {kind}.",
                remedy=f"read it with {_READERS[manifest.kind]}.",
            )
        return manifest

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what the operating system says into an error with a remedy."""
        try:
            yield
        except OSError as problem:
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


def _is_digest(name: str) -> bool:
    return len(name) == 64 and name.isalnum()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _copy(source: Path, names: Sequence[str], target: Path) -> None:
    target.mkdir()
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _require_unchanged(digest: str, manifest: Manifest) -> None:
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
