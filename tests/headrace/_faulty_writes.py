"""This script puts one artifact again and again, and each time another call goes wrong.

It runs under `faults.c` and prints, as JSON, what broke the law of the store: after any fault it
has the whole content or says that it has not, a repeat succeeds, and nothing is left behind.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.clock import VirtualClock
from headrace.content import document_digest, files_digest, table_digest
from headrace.errors import StoreError, UnknownNameError
from headrace.store import LocalStore

COUNT, ONCE, FOR_GOOD, SHORT, HALF_THEN_FOR_GOOD, CRASH_BEFORE, CRASH_HALFWAY = range(7)
FAULTS = [
    *((how, number) for how in (ONCE, FOR_GOOD) for number in ("ENOSPC", "EIO", "EACCES")),
    (SHORT, "ENOSPC"),
    (HALF_THEN_FOR_GOOD, "ENOSPC"),
]
CRASHED = 70
TABLE = pa.table({"n": list(range(3_000)), "text": [f"row {n}" for n in range(3_000)]})
DOCUMENT = {"auc": 0.5, "note": "x" * 500}

library = ctypes.CDLL(None)
library.faults_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
library.faults_disarm.restype = ctypes.c_long


class Kind:
    """This is one kind of content: how it is put, and how one sees that it is whole."""

    def __init__(self, name: str, folder: Path) -> None:
        source = folder / "source"
        (source / "weights").mkdir(parents=True)
        (source / "model.json").write_text("{}")
        (source / "weights" / "w.bin").write_bytes(bytes(range(256)) * 300)
        puts: dict[str, tuple[str, Callable[[LocalStore], Any], Callable[[LocalStore], str]]] = {
            "table": (
                table_digest(TABLE),
                lambda store: store.put_table(TABLE),
                lambda store: table_digest(store.read_table(self.digest)),
            ),
            "document": (
                document_digest(DOCUMENT),
                lambda store: store.put_document(DOCUMENT),
                lambda store: document_digest(store.read_document(self.digest)),
            ),
            "files": (
                files_digest(source),
                lambda store: store.put_files(source),
                lambda store: files_digest(store.files(self.digest)),
            ),
        }
        self.digest, self.put, self.read = puts[name]


def wrong(kind: Kind, store: LocalStore) -> Iterator[str]:
    """Yield how a store breaks the law now, with nothing in the way of its calls."""
    try:
        if kind.read(store) != kind.digest:
            yield "another content is returned"
        if not store.has(kind.digest):
            yield "what can be read is said not to be there"
    except StoreError as error:
        yield f"half of it is visible: {error}"
    except UnknownNameError:
        if store.has(kind.digest) or list(store.digests()):
            yield "what cannot be read is said to be there"


def after(kind: Kind, root: Path, *, crashed: bool) -> Iterator[str]:
    """Yield what is wrong after a fault: at once, after a repeat, and a day later."""
    store = LocalStore(root)
    yield from wrong(kind, store)
    if not crashed and any((root / "staging").iterdir()):
        yield "something is left in staging"
    kind.put(store)
    if kind.read(store) != kind.digest:
        yield "a repeat does not bring it"
    LocalStore(root, clock=VirtualClock(datetime.now(UTC) + timedelta(hours=25)))
    if any((root / "staging").iterdir()):
        yield "something is left in staging after a day"


def failing(kind: Kind, root: Path, n: int, how: int, number: int) -> tuple[int, list[str]]:
    """Let the n-th call go wrong; return how many there were and what is wrong since."""
    store = LocalStore(root)
    handles = len(os.listdir("/proc/self/fd"))
    found = []
    library.faults_arm(os.fsencode(root), n, how, number)
    try:
        kind.put(store)
    except StoreError:
        pass
    except Exception as error:
        found.append(f"it fails with {error!r}")
    calls = library.faults_disarm()
    if not returned_to(handles):
        found.append("a descriptor is left open")
    # where removing fails as well, the sweep is left to help
    found += after(kind, root, crashed=calls >= n)
    return calls, found


def returned_to(handles: int) -> bool:
    """Return whether as many descriptors are open as before; a thread of Arrow closes late."""
    for _ in range(200):
        if len(os.listdir("/proc/self/fd")) == handles:
            return True
        time.sleep(0.01)
    return False


def crashing(kind: Kind, root: Path, n: int, how: int) -> tuple[bool, list[str]]:
    """Let a process die at the n-th call; return whether it did and what is wrong since."""
    LocalStore(root)
    child = os.fork()
    if not child:
        try:
            store = LocalStore(root)
            library.faults_arm(os.fsencode(root), n, how, 0)
            kind.put(store)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    crashed = os.waitstatus_to_exitcode(status) == CRASHED
    return crashed, list(after(kind, root, crashed=True))


def main(name: str, folder: Path) -> None:
    """Try every fault at every call of a put."""
    kind, broken, trials = Kind(name, folder), [], 0
    root = folder / "store"
    for how, number in FAULTS:
        for n in itertools.count(1):
            calls, found = failing(kind, root, n, how, getattr(errno, number))
            broken += [f"fault {how} ({number}) at call {n}: {each}" for each in found]
            shutil.rmtree(root)
            trials += 1
            if calls < n:  # it was through before anything could go wrong
                break
    for how in (CRASH_BEFORE, CRASH_HALFWAY):
        since = 0
        for n in itertools.count(1):
            crashed, found = crashing(kind, root, n, how)
            broken += [f"crash {how} at call {n}: {each}" for each in found]
            shutil.rmtree(root)
            trials += 1
            since = 0 if crashed else since + 1
            if since > 50:  # calls that cannot be half done do not crash halfway
                break
    sys.stdout.write(json.dumps({"trials": trials, "broken": broken}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
