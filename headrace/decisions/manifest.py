"""This module holds which Parquet files of a log count, and which segments are in them.

It is one small file that is replaced as a whole: whoever compacts, merges or drops files makes new
ones first, then says so here, and only later removes what no longer counts. So a process that is
killed in between leaves each record in the log exactly once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import orjson

from headrace.decisions.folder import LogFolder, sync
from headrace.errors import DamagedArtifactError


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """This is a Parquet file that counts.

    Args:
        table: "decisions", "shadows" or "outcomes".
        name: Its name, without the ending.
        rows: How many records it holds.
        bytes: How long it is.
        first: When its oldest record was logged, in us.
        last: When its newest record was logged, or decided if that is later, in us.
    """

    table: str
    name: str
    rows: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Retired:
    """This is a Parquet file that counts no longer, and is removed when nobody reads it.

    Args:
        table: Its table.
        name: Its name, without the ending.
        version: The first version that it did not count in.
        at: When that was, in us.
    """

    table: str
    name: str
    version: int
    at: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """This says what counts, at one version.

    Args:
        version: Grows by one with every change; 0 where there never was one.
        files: The files that count.
        compacted: The segments that are in them, of those that still lie in the folder.
        retired: Files that still lie in the folder, and count no longer.
        highest: No segment that is made from now on has a number up to this.
    """

    version: int = 0
    files: tuple[ParquetFile, ...] = ()
    compacted: frozenset[str] = frozenset()
    retired: tuple[Retired, ...] = ()
    highest: int = 0

    def of(self, table: str) -> list[ParquetFile]:
        """Return the files of a table, the oldest first."""
        found = [file for file in self.files if file.table == table]
        return sorted(found, key=lambda file: (file.first, file.name))

    def without(self, gone: Iterable[ParquetFile], *, at: int) -> Manifest:
        """Return what counts when some files count no longer; `commit` makes it so.

        Args:
            gone: The files.
            at: The moment, in us.
        """
        leaving = set(gone)
        retired = [
            Retired(table=each.table, name=each.name, version=self.version + 1, at=at)
            for each in sorted(leaving, key=lambda file: (file.table, file.name))
        ]
        return replace(
            self,
            files=tuple(file for file in self.files if file not in leaving),
            retired=(*self.retired, *retired),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object."""
        return asdict(self) | {"compacted": sorted(self.compacted)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the manifest that `to_json` wrote."""
        return cls(
            version=document["version"],
            files=tuple(ParquetFile(**each) for each in document["files"]),
            compacted=frozenset(document["compacted"]),
            retired=tuple(Retired(**each) for each in document["retired"]),
            highest=document["highest"],
        )


def manifest_of(folder: LogFolder) -> Manifest:
    """Return what counts; of a log that is older than manifests, what lies in the folder.

    Raises:
        DamagedArtifactError: The file holds something else.
    """
    path = _path(folder)
    try:
        return Manifest.from_json(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return _before_manifests(folder)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DamagedArtifactError(
            f"'{path}' does not say which Parquet files of the decision log count.",
            remedy="Restore it from a copy, or remove it: every file counts then, and of a record "
            "that is in several the views show one.",
        ) from error


def commit(folder: LogFolder, manifest: Manifest) -> Manifest:
    """Make a manifest the one that counts, on the disk; only who holds the lock of the log may.

    Raises:
        OSError: It cannot be written; the one before counts.
    """
    path = _path(folder)
    after = replace(manifest, version=manifest.version + 1)
    draft = path.with_name(f".{path.name}")
    try:
        with draft.open("wb") as file:
            file.write(orjson.dumps(after.to_json()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return after


def _path(folder: LogFolder) -> Path:
    # A backup copies in the order of names, and Parquet last: so after the segments, because one
    # that is gone is in a file that is named here, and before the files that are named.
    return folder.path / "tables.json"


def _before_manifests(folder: LogFolder) -> Manifest:
    names = {path.stem for path in folder.path.glob("parquet/decisions/[!.]*.parquet")}
    files = [
        ParquetFile(
            table=path.parent.name,
            name=path.stem,
            rows=0,
            bytes=path.stat().st_size,
            first=0,
            last=1 << 62,
        )
        for path in sorted(folder.path.glob("parquet/*/[!.]*.parquet"))
        if path.stem in names  # decisions were written last
    ]
    return Manifest(files=tuple(files), compacted=frozenset(names))
