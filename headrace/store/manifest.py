"""This module describes one stored object: a manifest beside its files says what they must be."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from headrace.content import document_digest, file_checksum, file_pieces, plain_files
from headrace.errors import DamagedArtifactError, StoreError

Kind = Literal["table", "document", "files"]
FORMAT = 1
MANIFEST = "manifest.json"

# What was verified stays so while the file's inode, size and time of change are the same. One entry
# a file, for the life of the process, whichever store object asked.
_VERIFIED: dict[str, tuple[int, int, int]] = {}


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """This is one file of an object: its size in bytes and two checksums of them, in hex.

    A document's or model's digest follows from the sha256 of its files, so these are what is
    checked. A table's digest comes from its rows, so nothing but damage is to be found in its file;
    a CRC finds that at four times the speed, which is half the cost of reading a large table.
    """

    size: int
    sha256: str
    crc32: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """This says what an object holds.

    Args:
        kind: What was put: a table, a document, or a directory of files.
        digest: The digest of the logical content.
        files: Every file by its relative POSIX path.
        rows: The number of rows of a table, else None.
        schema: The Arrow schema of a table as text (see `tables.encode_schema`), else None.
        written_at: When it was written, ISO 8601 in UTC.
        format: The layout's version.
    """

    kind: Kind
    digest: str
    files: Mapping[str, FileEntry]
    rows: int | None
    schema: str | None
    written_at: str
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(entry.size for entry in self.files.values())

    def write(self, directory: Path) -> None:
        """Write this beside the files, with a checksum of its own."""
        content = asdict(self)
        content["checksum"] = document_digest(content)
        (directory / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True))

    @classmethod
    def read(cls, directory: Path, digest: str) -> Manifest:
        """Read the manifest of an object, or say that it is damaged."""
        try:
            content = json.loads((directory / MANIFEST).read_bytes())
            checksum = content.pop("checksum")
            intact = checksum == document_digest(content) and content["digest"] == digest
        except (ValueError, KeyError, AttributeError, TypeError, FileNotFoundError):
            intact = False
        if not intact:
            raise damaged(digest, "its manifest is missing or was changed")
        if content["format"] > FORMAT:
            raise StoreError(
                f"The artifact {digest[:12]} has the layout {content['format']}; "
                f"this Headrace reads up to {FORMAT}.",
                remedy="upgrade Headrace to the version that wrote it.",
            )
        content["files"] = {name: FileEntry(**entry) for name, entry in content["files"].items()}
        return cls(**content)


def describe(directory: Path) -> dict[str, FileEntry]:
    """Return the entries of all files in a directory that is about to become an object."""
    return {
        name: FileEntry(
            size=(directory / name).stat().st_size,
            sha256=file_checksum(directory / name),
            crc32=_crc32(directory / name),
        )
        for name in plain_files(directory)
    }


def verify(directory: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest, reading those that changed since the last time.

    Raises:
        DamagedArtifactError: A file is missing, added, or not what was written.
    """
    for name, entry in manifest.files.items():
        path = directory / name
        try:
            state = _state(path)
        except (FileNotFoundError, NotADirectoryError):
            raise damaged(manifest.digest, f"its file '{name}' is gone") from None
        if _VERIFIED.get(os.fspath(path)) == state:
            continue
        if state[1] != entry.size:
            raise damaged(
                manifest.digest, f"its file '{name}' has {state[1]} bytes instead of {entry.size}"
            )
        if not _intact(path, entry, manifest.kind):
            raise damaged(manifest.digest, f"the bytes of its file '{name}' were changed")
        _VERIFIED[os.fspath(path)] = state
    if manifest.kind == "files":
        added = set(plain_files(directory)) - set(manifest.files) - {MANIFEST}
        if added:
            raise damaged(manifest.digest, f"somebody added the file '{min(added)}' to it")


def forget(directory: Path) -> None:
    """Let the files below a directory be verified anew."""
    prefix = os.fspath(directory) + os.sep
    for path in [path for path in list(_VERIFIED) if path.startswith(prefix)]:
        _VERIFIED.pop(path, None)


def damaged(digest: str, how: str) -> DamagedArtifactError:
    """Build the error for an object that is not what was written."""
    return DamagedArtifactError(
        f"The artifact {digest[:12]} is damaged: {how}.",
        remedy="run the flow again: it sets the damaged copy aside and computes the artifact anew.",
    )


def _intact(path: Path, entry: FileEntry, kind: Kind) -> bool:
    if kind == "table":
        return _crc32(path) == entry.crc32
    return file_checksum(path) == entry.sha256


def _crc32(path: Path) -> str:
    checksum = 0
    for piece in file_pieces(path):
        checksum = zlib.crc32(piece, checksum)
    return f"{checksum:08x}"


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
