"""This module is the process that `isolated` starts for one body: errand, answer and pipe."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from headrace.errors import ServiceError
from headrace.execution.isolated import run_errand

_WATCH_SECONDS = 0.5


def main(errand_file: str, answer_file: str, pipe: str) -> None:
    """Do the errand in one file, tell of it through a pipe, write what came of it into a file."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    errand = pickle.loads(Path(errand_file).read_bytes())  # noqa: S301  our parent's
    result = run_errand(errand, int(pipe))
    Path(answer_file).write_bytes(_crossing(result))


def _crossing(result: tuple[Any, BaseException | None]) -> bytes:
    """Return the result as it can be read again; some libraries' errors cannot."""
    try:
        content = pickle.dumps(result)
        pickle.loads(content)  # noqa: S301  written in the line above
    except Exception:
        made, error = result
        told = ServiceError(
            f"{type(error).__name__}: {error}", remedy="Look at the output of the process above."
        )
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        return pickle.dumps((made, told))
    return content


def _end_with_parent(parent: int) -> None:
    """End this process and what it started when nobody waits for its answer any more."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
