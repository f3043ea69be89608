"""This module holds the archive of a home: a tar that ends in a list of what it must contain.

`header.json` comes first and says what this is; then `home/…`, every file; `manifest.json` is last
and has the header again, every file's size and sha256, and a checksum of its own. An archive that
was cut off has no manifest, and is no archive.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from headrace.errors import DamagedArtifactError

FORMAT = 1
HEADER, MANIFEST, FOLDER = "header.json", "manifest.json", "home/"


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """This is one file of an archive: bytes, checksum, permissions, and when it was changed."""

    size: int
    sha256: str
    mode: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """This says what an archive is of.

    Attributes:
        home: Where the home lay, which its databases may name.
        revision: Revision of the database of runs and lineage; none where there was none.
        created_at: When, ISO 8601 in UTC.
        versions: Versions by distribution, of those that write in a home.
        format: The archive's layout.
    """

    home: str
    revision: str | None
    created_at: str
    versions: dict[str, str]
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """This is what an archive must contain.

    Attributes:
        header: What the archive is of.
        files: Every file, by its place in the home.
        vanished: Files that were listed, and gone when it was their turn.
        elsewhere: What belongs to the installation and lies outside of the home.
    """

    header: Header
    files: dict[str, FileEntry] = field(default_factory=dict)
    vanished: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


class ArchiveWriter:
    """This writes an archive, file by file.

    Args:
        to: An empty file, open for writing.
        header: What the archive is of.
    """

    def __init__(self, to: BinaryIO, header: Header) -> None:
        self._tar = tarfile.TarFile(fileobj=to, mode="w", format=tarfile.PAX_FORMAT)
        self._header = header
        self.files: dict[str, FileEntry] = {}
        self._put(HEADER, _json(asdict(header)))

    def add(self, name: str, content: BinaryIO, *, size: int, mode: int, mtime_ns: int) -> None:
        """Add a file of the home; of a longer one, the first `size` bytes.

        Raises:
            EOFError: It has fewer bytes.
            OSError: The archive cannot be written, or the file not read.
        """
        read = _Hashed(content)
        info = tarfile.TarInfo(FOLDER + name)
        info.size, info.mode = size, mode & 0o777
        self._tar.addfile(info, read)
        self.files[name] = FileEntry(
            size=size, sha256=read.hash.hexdigest(), mode=info.mode, mtime_ns=mtime_ns
        )

    def finish(self, *, vanished: tuple[str, ...], elsewhere: tuple[str, ...]) -> Manifest:
        """Write the manifest; without it an archive is refused."""
        manifest = Manifest(
            header=self._header, files=self.files, vanished=vanished, elsewhere=elsewhere
        )
        content = asdict(manifest)
        self._put(MANIFEST, _json(content | {"checksum": _checksum(content)}))
        self._tar.close()
        return manifest

    def _put(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        self._tar.addfile(info, io.BytesIO(content))


def read_header(content: bytes) -> Header:
    """Read a header.

    Raises:
        DamagedArtifactError: It is none.
    """
    try:
        return Header(**json.loads(content))
    except (ValueError, TypeError):
        raise damaged("its header cannot be read") from None


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        DamagedArtifactError: It is none, or was changed.
    """
    try:
        told = json.loads(content)
        checksum = told.pop("checksum")
        if checksum != _checksum(told):
            raise damaged("its list of files was changed")
        return Manifest(
            header=Header(**told["header"]),
            files={name: FileEntry(**entry) for name, entry in told["files"].items()},
            vanished=tuple(told["vanished"]),
            elsewhere=tuple(told["elsewhere"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise damaged("its list of files cannot be read") from None


def damaged(how: str) -> DamagedArtifactError:
    """Build the error for an archive that is not what was written."""
    return DamagedArtifactError(
        f"The archive is damaged: {how}.",
        remedy="use another copy of it, or another backup; nothing was changed.",
    )


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode()


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(_json(content)).hexdigest()


class _Hashed(io.RawIOBase):
    """This hashes what is read of a file, and says so when there is less than was asked for."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        if len(piece) < size:
            raise EOFError
        self.hash.update(piece)
        return piece
