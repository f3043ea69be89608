"""This module knows the code that replicas run, so that they are replaced when it changed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from features.on_demand_call import OnDemandCall

_PLATFORM = ("headrace", "features", "operators", "serving")
_DIGITS = 16


def code_digest(calls: Sequence[OnDemandCall] = ()) -> str:
    """Return a digest of the code that a replica runs, as it lies there now.

    It holds the source of the packages that answer, what is installed beside them, and the code of
    the on-demand views, each by its own digest. Models are no part of it: they change in place.

    Args:
        calls: The on-demand views of the endpoint.
    """
    digest = sha256(f"{platform.python_version()}\n{sys.platform}\n".encode())
    for line in sorted(_installed()):
        digest.update(f"{line}\n".encode())
    for path, name in _sources():
        digest.update(f"{name} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    for call in sorted(calls, key=lambda c: c.view):
        digest.update(f"{call.view} {call.module} {call.function} {call.code}\n".encode())
    return digest.hexdigest()[:_DIGITS]


def _installed() -> Iterator[str]:
    for found in importlib.metadata.distributions():
        yield f"{found.name}=={found.version}"


def _sources() -> Iterable[tuple[Path, str]]:
    root = Path(__file__).parent.parent
    for package in _PLATFORM:
        for path in sorted((root / package).rglob("*.py")):
            yield path, path.relative_to(root).as_posix()
