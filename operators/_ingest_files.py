"""This module finds files and says what they hold: their grant's name and their checksum."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.content import file_checksum
from headrace.errors import DataError, did_you_mean

if TYPE_CHECKING:
    pass


def file_name(path: str | os.PathLike[str]) -> str:
    """Return how grants call a file; `..` is resolved, so that a grant on a folder holds."""
    return f"file:{os.path.normpath(path)}"


def package_file_name(package: str, file: str) -> str:
    """Return how grants call a file inside a package."""
    return f"package:{package}/{os.path.normpath(file)}"


def found_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there.

    Raises:
        DataError: It is not there, or is a directory; the message offers the nearest file.
    """
    file = Path(path)
    if file.is_file():
        return file
    if file.is_dir():
        inside = sorted(p.name for p in file.iterdir() if p.is_file())
        example = f", such as '{file / inside[0]}'" if inside else ""
        raise DataError(
            f"'{file}' is a directory, not a file.",
            remedy=f"Give one of the files in it{example}.",
        )
    if not file.parent.is_dir():
        raise DataError(
            f"There is no file '{file}', and no directory '{file.parent}'.",
            remedy="Give the path from the directory that the flow is started in, or a full path.",
        )
    beside = [p.name for p in file.parent.iterdir() if p.is_file()]
    raise DataError(
        f"There is no file '{file.name}' in '{file.parent}'.{did_you_mean(file.name, beside)}",
        remedy="Give the path from the directory that the flow is started in, or a full path.",
    )


def packaged_file(package: str, file: str) -> Path:
    """Return the path of a file inside an installed package, without importing the package.

    Raises:
        DataError: The package is not installed, or the file is not in it.
    """
    from importlib.machinery import PathFinder

    # Only the folder is asked for; the package's own code may be broken and is never run.
    spec = PathFinder.find_spec(package) if package.isidentifier() else None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise DataError(
            f"There is no package '{package}' in this environment.",
            remedy="Install it, or give the name it is imported by.",
        )
    folder = Path(folders[0])
    if os.path.isabs(file) or os.path.normpath(file).startswith(".."):
        raise DataError(
            f"The file '{file}' does not lie inside package '{package}'.",
            remedy="Give a path below the package's folder, such as 'data/planes.csv'.",
        )
    if not (folder / file).is_file():
        inside = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
        raise DataError(
            f"Package '{package}' holds no file '{file}'.{did_you_mean(file, inside)}",
            remedy="Give a path below the package's folder, such as 'data/planes.csv'.",
        )
    return folder / file


def checksum_of(path: Path) -> str:
    """Return the sha256 of a file; it is read once while inode, size and time are unchanged."""
    status = path.stat()
    return _checksum(str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _checksum(path: str, inode: int, size: int, modified: int) -> str:
    return file_checksum(Path(path))
