"""This module holds the SQLite file of the online store open for one writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features._online_tables import store_error
from headrace.errors import StoreError


class OnlineFile:
    """This is the file, made when it does not exist; threads take turns.

    In WAL mode readers and the writer do not wait for each other, and `synchronous = NORMAL` waits
    for the disk only when the log is folded in: a crash of the process loses nothing, a power
    failure perhaps the last transactions.

    Args:
        path: The file.
        wait_seconds: How long to wait for another writer.

    Raises:
        StoreError: The file cannot be opened.
        DamagedArtifactError: It is no database.
    """

    def __init__(self, path: Path, *, wait_seconds: float) -> None:
        self._path, self._wait = path, wait_seconds
        self.lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The folder {path.parent} cannot be made: {error.strerror or error}.",
                remedy="Check the folder and who may write there, then try again.",
            ) from error
        with self._translated():
            self.connection = sqlite3.connect(
                path, isolation_level=None, timeout=wait_seconds, check_same_thread=False
            )
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
            except sqlite3.Error:
                self.connection.close()
                raise
        self.execute = self.connection.execute

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that is executed in a `with` block, or nothing.

        Raises:
            StoreError: It cannot be written.
        """
        with self.lock, self._translated():
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself ends some that fail
                    self.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self._path, waited=self._wait) from error
