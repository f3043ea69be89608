"""This module keeps apart who uses a store and who collects what nobody needs any more.

Users share a lock on one file of the store; a collection wants it alone, and does not wait for it.
The operating system lets go of the lock of a process that is killed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import StoreError

_LOCK = ".in_use"


class StoreInUseError(StoreError):
    """This store is used by somebody, so nothing may be collected from it now."""


@contextmanager
def using(root: Path) -> Iterator[None]:
    """Let nothing be collected from the store at `root` until the block ends.

    Any number of threads and processes may use it; they wait only while a collection is made.
    """
    with open(root / _LOCK, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep everybody who says that they use the store at `root` out of it until the block ends.

    Raises:
        StoreInUseError: Somebody uses it.
    """
    with open(root / _LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUseError(
                f"The store at '{root}' is in use.",
                remedy="wait until the flows that run have ended, then collect again.",
            ) from None
        yield
