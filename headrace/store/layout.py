"""This module says where things lie in the directory of a local store."""

from __future__ import annotations

from pathlib import Path

OBJECTS = "objects"
STAGING = "staging"
QUARANTINE = "quarantine"
TRASH = "trash"


def object_path(root: Path, digest: str) -> Path:
    """Return where the object of a digest lies in the store at `root`."""
    return root / OBJECTS / digest[:2] / digest


def is_digest(name: str) -> bool:
    """Say whether a name can be that of an object."""
    return len(name) == 64 and name.isalnum()
