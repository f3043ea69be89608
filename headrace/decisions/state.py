"""This module says which state a log is in, without reading its records."""

from __future__ import annotations

from pathlib import Path

from headrace.content import document_digest
from headrace.decisions.folder import LogFolder


def state_of(folder: Path) -> str:
    """Return a digest that changes with every record that is logged, compacted or damaged.

    A log is only ever appended to, so that files of the same name, length and moment of writing
    hold the same records.

    Args:
        folder: The folder of the endpoint; there need not be a log.
    """
    log = LogFolder(folder)
    files = [log.log(name) for name in log.names()]
    files += sorted(log.path.glob("parquet/*/[!.]*.parquet"))
    return document_digest([_seen(file) for file in files])


def _seen(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except FileNotFoundError:  # compacted and removed since the listing
        return [file.name]
    return [str(file.parent.name), file.name, found.st_size, found.st_mtime_ns, found.st_ino]
