"""This module writes the files of a bundle at once, and reads them only as they were written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.content import document_digest
from headrace.errors import DamagedArtifactError, StoreError
from operators._runtime_choice import RuntimeChoice

RUNTIME_FILE = "runtime.json"
_FORMAT = 1
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """This is what `runtime.json` holds: the model's digest, the choice, each file's sha256."""

    model: str
    choice: RuntimeChoice
    files: Mapping[str, str]


def read_manifest(folder: Path) -> Manifest:
    """Return what `runtime.json` says, once its own checksum holds.

    Raises:
        DamagedArtifactError: It is gone, or not what was written.
        StoreError: A later Headrace wrote it.
    """
    try:
        content = json.loads((folder / RUNTIME_FILE).read_bytes())
        checksum = content.pop("checksum")
        intact = checksum == document_digest(content)
    except (FileNotFoundError, NotADirectoryError):
        raise _damaged(folder, f"'{RUNTIME_FILE}' is gone") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        intact = False
    if not intact:
        raise _damaged(folder, f"'{RUNTIME_FILE}' was changed")
    if content["format"] > _FORMAT:
        raise StoreError(
            f"The bundle '{folder}' has the layout {content['format']}; this Headrace reads up to "
            f"{_FORMAT}.",
            remedy="Upgrade Headrace to the version that wrote it.",
        )
    choice = RuntimeChoice.from_json(content["choice"])
    return Manifest(model=content["model"], choice=choice, files=content["files"])


def verified(folder: Path, name: str, wanted: str) -> bytes:
    """Return a file's content, once it has the wanted sha256.

    Raises:
        DamagedArtifactError: It is gone, or not what was written.
    """
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        raise _damaged(folder, f"'{name}' is gone") from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise _damaged(folder, f"'{name}' was changed")
    return content


def _damaged(folder: Path, how: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"The bundle '{folder}' is damaged: its file {how}.",
        remedy="Write it again with `write_bundle(folder, model)`, which replaces a damaged one.",
    )


def write_files(
    staged: Path, files: Mapping[str, bytes], choice: RuntimeChoice, digest: str
) -> None:
    """Write files into a new folder, and beside them `runtime.json`; all are on disk after."""
    content = {
        "format": _FORMAT,
        "model": digest,
        "choice": choice.to_json(),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    content["checksum"] = document_digest(content)
    manifest = json.dumps(content, indent=1, sort_keys=True).encode()
    staged.mkdir(parents=True)
    for name, data in {**files, RUNTIME_FILE: manifest}.items():
        with open(staged / name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def publish(staged: Path, folder: Path) -> None:
    """Give a written folder its name, in place of a damaged or outdated one."""
    while True:
        try:
            os.rename(staged, folder)
            break
        except OSError as problem:
            if problem.errno not in _TAKEN:
                raise
        # it was found damaged or outdated, or another process was first, which wrote the same
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system says into an error with a remedy."""
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"The bundle '{folder}' cannot be written: {problem}.",
            remedy="Free some space, or give this user the right to write there; then try again.",
        ) from problem
