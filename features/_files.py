"""This module writes files of the feature store whole or not at all, one process at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from headrace.errors import StoreError


def atomically(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `target`, then put it in its place.

    Raises:
        StoreError: It cannot be written; what was there before stays.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        write(partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise StoreError(
            f"The feature store could not write {target}: {error.strerror or error}.",
            remedy="Make room and check who may write there, then publish again.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, name: str = "") -> Iterator[None]:
    """Let one process and thread at a time in; the system frees the lock of one that dies.

    Args:
        folder: Where the lock lies; it is made when it does not exist.
        name: What is locked, so that one thread may hold two locks.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / f".{name}.lock", "w", encoding="utf-8")  # noqa: SIM115  closed below
    except OSError as error:
        raise StoreError(
            f"The feature store could not write to {folder}: {error.strerror or error}.",
            remedy="Make room and check who may write there, then publish again.",
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
