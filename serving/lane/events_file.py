"""This module appends lines to a file that several processes share, and that is bounded."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST_BYTES, MOST_FILES = 10 << 20, 5
"""How long a file may grow by default, and how many are kept, the present one included."""


class SharedFile(RotatingFileHandler):
    """This appends to a file that several processes may write, and that begins anew when full.

    Args:
        file: The file; its folder is made.
        largest_bytes: How long it may grow; then it is renamed, and so are those before it.
    """

    def __init__(self, file: Path, largest_bytes: int) -> None:
        super().__init__(
            file, maxBytes=largest_bytes, backupCount=MOST_FILES - 1, encoding="utf-8", delay=True
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; the file is open for this line only, so that others may rename it."""
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            with _locked(Path(f"{self.baseFilename}.lock")):
                super().emit(record)
                if self.stream is not None:
                    self.stream.close()
                    self.stream = None  # it is opened when needed
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on: a lane answers whether its events can be written or not."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
