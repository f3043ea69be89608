"""This module says what a home holds, in which order it is copied, and what is left out.

What names other things is copied before what it names: files are added first and named later, so
that whatever a copy names was there before. Folders are listed when it is their turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from headrace.settings import Settings

Sort = Literal["database", "file", "growing"]

LEFT_OUT = {
    "run": "which services run",
    "logs": "what services said",
    "ray": "what Ray writes while it runs",
    "serving/lanes": "where replicas listen",
    "serving/ray-token": "made anew for each home",
    "store/staging": "artifacts that are being written",
}
"""What is of the moment or of the machine, by its place in the home."""

_DRAFTS = (".draft", ".half", ".part", ".partial", ".lock", ".pid")
_LOCKS = ("lock", "compact.lock")
_BESIDE_A_DATABASE = ("-wal", "-shm", "-journal")
_SQLITE = b"SQLite format 3\0"
# files of users: every one is copied, whatever its name looks like
_VERBATIM = ("store/objects", "mlflow/artifacts", "serving/models")
# read before the databases: each names what is in one of them, or beside it
_NAMING_FOLDERS = ("spool", "serving/versions")
# others name runs of Prefect and MLflow: theirs are copied after ours
_FIRST_DATABASE = "headrace.db"


@dataclass(frozen=True, kw_only=True)
class Found:
    """This is one file of a home.

    Attributes:
        name: Its place in the home, with "/".
        path: Where it lies now.
        sort: A "growing" file may be appended to, or lose a torn end, while it is copied.
    """

    name: str
    path: Path
    sort: Sort = "file"


def contents(home: Path) -> Iterator[Found]:
    """Yield the files of a home in the order in which they are to be copied.

    Raises:
        OSError: A folder cannot be read.
    """
    given: set[str] = set()
    for found in chain(_naming(home), _databases(home), _others(home)):
        if found.name not in given:
            given.add(found.name)
            yield found


def kept_elsewhere(of: Settings) -> tuple[str, ...]:
    """Return what the settings put outside of the home: it is not in an archive of the home."""
    said = []
    if "://" in of.store or not Path(of.store).is_relative_to(of.home):
        said.append(f"the artifacts in {of.store}")
    if of.database_url != f"sqlite:///{of.home / _FIRST_DATABASE}":
        from sqlalchemy import make_url

        shown = make_url(of.database_url).render_as_string(hide_password=True)
        said.append(f"the database {shown}")
    if not of.runs_prefect:
        said.append(f"the Prefect server at {of.prefect_url}")
    if not of.runs_mlflow:
        said.append(f"the MLflow server at {of.mlflow_url}")
    return tuple(said)


def _naming(home: Path) -> Iterator[Found]:
    for folder in _NAMING_FOLDERS:
        yield from _walk(home, folder)
    for cursors in sorted(home.glob("decisions/*/cursors")):
        yield from _walk(home, cursors.relative_to(home).as_posix())
    for record in sorted(home.glob("features/*/published.json")):
        yield Found(name=record.relative_to(home).as_posix(), path=record)


def _databases(home: Path) -> Iterator[Found]:
    found = [each for each in _walk(home, "") if each.sort == "database"]
    yield from sorted(found, key=lambda each: (each.name != _FIRST_DATABASE, each.name))


def _others(home: Path) -> Iterator[Found]:
    for found in _walk(home, ""):
        if found.sort != "database":
            yield found


def _walk(home: Path, folder: str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Found]:
    """Yield the files below a folder of the home; links to folders are followed, but not in rings.

    Inventories come before the segments of the decision log that they describe: a segment that has
    one does not grow any more. Segments come before Parquet: a segment that is gone is in there.
    """
    try:
        status = os.stat(home / folder)
        entries = sorted(os.scandir(home / folder), key=_turn)
    except (FileNotFoundError, NotADirectoryError):
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if name in LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _walk(home, name, (*above, here))
        elif entry.is_file() and not _is_left_out(name):
            yield Found(name=name, path=Path(entry.path), sort=_sort(name, Path(entry.path)))


def _turn(entry: os.DirEntry[str]) -> tuple[bool, bool, str]:
    return entry.name == "parquet", not entry.name.endswith(".idx"), entry.name


def _is_left_out(name: str) -> bool:
    if name.startswith(tuple(f"{folder}/" for folder in _VERBATIM)):
        return False
    last = name.rpartition("/")[2]
    return (
        last.startswith(".")
        or last in _LOCKS
        or last.endswith(_DRAFTS)
        or any(last.endswith(f".db{end}") for end in _BESIDE_A_DATABASE)
    )


def _sort(name: str, path: Path) -> Sort:
    if name.startswith("decisions/"):
        return "growing" if name.endswith(".log") else "file"
    if not name.endswith(".db") or name.startswith(tuple(f"{folder}/" for folder in _VERBATIM)):
        return "file"
    try:
        with path.open("rb") as file:
            return "database" if file.read(len(_SQLITE)) == _SQLITE else "file"
    except FileNotFoundError:
        return "file"
