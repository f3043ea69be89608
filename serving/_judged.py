"""This module remembers what a verdict said, so that the same is not worked out twice.

Judging reads a whole decision log and imports numpy, SciPy and DuckDB. What was judged is named by
a mark: everything that the verdict rests on, the code that judges among it. With any of that
changed, or the memory lost, it is judged again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import headrace
from headrace.content import document_digest
from headrace.settings import settings

_HERE = Path(__file__).parent
_FOLDERS = (
    _HERE,
    _HERE / "rollout",
    _HERE / "statistics",
    Path(headrace.__file__).parent / "decisions",
)
_LIBRARIES = ("duckdb", "numpy", "pyarrow", "scipy")


def mark_of(*rests_on: Any) -> str:
    """Return what names a verdict: the digest of what it rests on and of the code that judges.

    Args:
        rests_on: JSON-like data.
    """
    return document_digest([list(rests_on), _code()])


def remembered(endpoint: str, mark: str) -> dict[str, Any] | None:
    """Return what was remembered of an endpoint under this mark; None when that is not known."""
    try:
        kept = json.loads(_file(endpoint).read_text(encoding="utf-8"))
        document: dict[str, Any] | None = kept["said"] if kept["mark"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document


def remember(endpoint: str, mark: str, said: dict[str, Any]) -> None:
    """Keep what was said of an endpoint, in the place of what was kept before.

    Args:
        endpoint: The endpoint.
        mark: What `mark_of` returned before anything was read.
        said: JSON-like data.
    """
    path = _file(endpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps({"mark": mark, "said": said}), encoding="utf-8")
    half.replace(path)


def _file(endpoint: str) -> Path:
    return settings().home / "serving" / "judged" / f"{endpoint}.json"


def _code() -> str:
    """Return the digest of the code that judges, and of the libraries that it calculates with."""
    digest = hashlib.sha256()
    for path in (path for folder in _FOLDERS for path in sorted(folder.glob("*.py"))):
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()
