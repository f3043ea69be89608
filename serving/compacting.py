"""This module compacts decision logs, in a process of its own: it is work for minutes of a core.

The serving host starts `python -m serving.compacting` now and then; it ends when all is done.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from headrace.errors import HeadraceError
from headrace.settings import Settings, inherited_environment, settings

_log = logging.getLogger("headrace.compacting")
_NICE = 10


class Compactor:
    """This starts compactions, one at a time.

    Args:
        of: Where everything lies.
    """

    def __init__(self, of: Settings) -> None:
        self._settings = of
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start one if there is something to compact and none is at work."""
        at_work = self._process is not None and self._process.poll() is None
        if at_work or not _has_work(self._settings):
            return
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "serving.compacting"],
            stdin=subprocess.DEVNULL,
            env={**inherited_environment(), **self._settings.as_environment()},
        )

    def stop(self) -> None:
        """End one that is at work; the next one does it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


def _has_work(of: Settings) -> bool:
    """Return whether a segment was sealed that is not in Parquet yet."""
    return any(
        not (sealed.parents[1] / "parquet" / "decisions" / f"{sealed.stem}.parquet").exists()
        for sealed in (of.home / "decisions").glob("*/segments/*.idx")
    )


def main() -> None:
    """Compact the logs of all endpoints, once."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    from headrace.decisions import compact

    os.nice(_NICE)
    root = settings().home / "decisions"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        try:
            compact(folder)
        except HeadraceError as error:
            _log.error("Compaction of %s: %s", folder, error)


if __name__ == "__main__":
    main()
