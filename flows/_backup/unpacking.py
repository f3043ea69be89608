"""This module unpacks an archive into a folder; what is not as it was written is refused."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from flows._backup.archive import (
    FOLDER,
    FORMAT,
    HEADER,
    MANIFEST,
    Header,
    Manifest,
    damaged,
    read_header,
    read_manifest,
)
from flows._backup.saving import Progress
from headrace.errors import DamagedArtifactError, StoreError

_PIECE = 1 << 20
_SMALL_BYTES = 1 << 30
_Found = dict[str, tuple[int, str]]


def unpack(archive: Path, folder: Path, report: Callable[[Progress], None]) -> Manifest:
    """Unpack an archive into an empty folder and verify every byte of it.

    Args:
        archive: The archive.
        folder: An empty folder, which nobody else looks into.
        report: Is told how far it is.

    Raises:
        DamagedArtifactError: The archive is cut off, or was changed, or is none.
        StoreError: A newer Headrace wrote it.
        OSError: It cannot be read, or the folder not written.
    """
    found: _Found = {}
    manifest = None
    try:
        with tarfile.open(archive, "r:") as tar:
            for number, member in enumerate(tar):
                if manifest is not None:
                    raise damaged(f"'{member.name}' follows its list of files")
                _require_plain(member)
                if number == 0:
                    _require_known(_header(tar, member, archive))
                elif member.name == MANIFEST:
                    manifest = read_manifest(_content(tar, member))
                else:
                    name = _safe(member.name, found)
                    found[name] = _extract(tar, member, folder / name)
                    report(Progress(name=name, files=len(found), bytes=member.offset_data))
    except tarfile.TarError as problem:
        raise damaged(str(problem)) from problem
    if manifest is None:
        raise damaged("it has no list of files at its end, so it was cut off")
    _compare(found, manifest)
    for name, entry in manifest.files.items():
        os.utime(folder / name, ns=(entry.mtime_ns, entry.mtime_ns))
        os.chmod(folder / name, entry.mode)
    return manifest


def _header(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> Header:
    if member.name != HEADER:
        raise DamagedArtifactError(
            f"'{archive}' is a tar, and no backup of a home: it begins with '{member.name}'.",
            remedy="name a file that `headrace backup` wrote.",
        )
    return read_header(_content(tar, member))


def _require_known(header: Header) -> None:
    from headrace.lineage.database import HEAD

    if header.format > FORMAT:
        raise StoreError(
            f"The archive has the layout {header.format}; this Headrace reads up to {FORMAT}.",
            remedy="restore it with the version of Headrace that wrote it, or a newer one.",
        )
    if header.revision is not None and header.revision > HEAD:
        raise StoreError(
            f"The archive's database is at revision {header.revision}; this Headrace knows "
            f"revisions up to {HEAD}.",
            remedy="upgrade Headrace to the version that wrote it, "
            f"{header.versions.get('headrace', 'which is not named')} or newer.",
        )


def _require_plain(member: tarfile.TarInfo) -> None:
    if not member.isreg():
        raise damaged(f"'{member.name}' is no plain file")


def _safe(name: str, found: _Found) -> str:
    """Return a member's place in the home; it cannot lie anywhere else.

    Raises:
        DamagedArtifactError: It would, or it comes twice.
    """
    inner = name.removeprefix(FOLDER)
    parts = PurePosixPath(inner).parts
    plain = "/".join(parts) == inner and "\0" not in inner and "\\" not in inner
    if not name.startswith(FOLDER) or not parts or not plain or ".." in parts or parts[0] == "/":
        raise damaged(f"'{name}' is a place outside of a home")
    if inner in found:
        raise damaged(f"'{inner}' comes twice")
    return inner


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    if content is None or member.size > _SMALL_BYTES:
        raise damaged(f"'{member.name}' cannot be read")
    return content.read()


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> tuple[int, str]:
    content = tar.extractfile(member)
    if content is None:
        raise damaged(f"'{member.name}' cannot be read")
    checksum, size = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as to:
            while piece := content.read(_PIECE):
                to.write(piece)
                checksum.update(piece)
                size += len(piece)
    except (FileExistsError, NotADirectoryError):
        raise damaged(f"'{member.name}' is a file and a folder") from None
    return size, checksum.hexdigest()


def _compare(found: _Found, manifest: Manifest) -> None:
    promised = {name: (entry.size, entry.sha256) for name, entry in manifest.files.items()}
    if found == promised:
        return
    for name in sorted(found.keys() | promised.keys()):
        if name not in found:
            raise damaged(f"'{name}' is missing")
        if name not in promised:
            raise damaged(f"'{name}' is not on its list of files")
        if found[name] != promised[name]:
            raise damaged(f"the bytes of '{name}' were changed")
