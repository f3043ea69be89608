"""This module writes a user's own repository out of the template: all of it, or nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flows._init.naming import check_name, name_of_folder
from headrace.errors import ParameterError, ServiceError

TEMPLATE = Path(__file__).with_name("template")
_TEMPLATE_NAME = "acme"
# a file that begins with a dot is left out of packages by some tools
_RENAMED = {"gitignore": ".gitignore"}
_NOT_IN_THE_WAY = {".git"}
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Made:
    """This is a repository that was made.

    Attributes:
        folder: Where.
        name: Its package.
        files: Its files, by their place in it.
    """

    folder: str
    name: str
    files: tuple[str, ...]


def make_repository(folder: Path, name: str | None = None) -> Made:
    """Make a repository with a flow, operators, a feature view, data and tests.

    Args:
        folder: Where: a folder that is absent or empty, but for `.git`.
        name: Its package; None takes the folder's name.

    Raises:
        ParameterError: Something lies in the folder, or the name is none for a package.
        ServiceError: It cannot be written.
    """
    folder = folder.expanduser().absolute()
    _check_folder(folder)
    chosen = name_of_folder(folder) if name is None else name
    check_name(chosen)
    try:
        files = _write(folder, chosen)
    except OSError as problem:
        raise ServiceError(
            f"The repository '{folder}' cannot be written: {problem}.",
            remedy="Look at the room on that disk and at who may write there.",
        ) from problem
    return Made(folder=str(folder), name=chosen, files=files)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"'{folder}' is no folder.", remedy="Name another place.")
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    inside = [name for name in there if name not in _NOT_IN_THE_WAY]
    if inside:
        shown = ", ".join(f"'{name}'" for name in inside[:_SHOWN])
        more = f" and {len(inside) - _SHOWN} more" if len(inside) > _SHOWN else ""
        raise ParameterError(
            f"'{folder}' is not empty: it holds {shown}{more}. Nothing was touched.",
            remedy="Name a folder that is not there yet, or an empty one.",
        )


def _write(folder: Path, name: str) -> tuple[str, ...]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as beside:
        staged = Path(beside)
        for source in _template_files():
            target = staged / _named(source.relative_to(TEMPLATE).as_posix(), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            target.write_text(_named(text, name), encoding="utf-8")
        files = sorted(p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file())
        folder.mkdir(exist_ok=True)
        for entry in sorted(staged.iterdir()):
            shutil.move(entry, folder / _RENAMED.get(entry.name, entry.name))
    return tuple(_RENAMED.get(file, file) for file in files)


def _template_files() -> list[Path]:
    found = (path for path in TEMPLATE.rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _named(text: str, name: str) -> str:
    return re.sub(rf"\b{_TEMPLATE_NAME}\b", name, text)
