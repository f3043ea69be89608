"""This module keeps the file of who may ask lanes as the database says, for the serving host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.clock import current_clock
from serving.access_file import access_file, write_access
from serving.api_clients import ApiClients


class AccessStep:
    """This writes who may ask, whenever that changes.

    Args:
        notices: Folder of the lanes' notices.
        clients: What is recorded; the shared database of the settings by default.
    """

    def __init__(self, notices: Path, clients: ApiClients | None = None) -> None:
        self._file = access_file(notices)
        self._clients = clients or ApiClients()
        self._written: tuple[Any, ...] | None = None

    def apply(self, replicas: Mapping[str, int]) -> bool:
        """Write the file if it would say something else; returns whether it did.

        Args:
            replicas: How many replicas of each endpoint answer.

        Raises:
            HeadraceError: The database cannot be read.
            OSError: The file cannot be written.
        """
        state = (self._clients.revision(), dict(replicas))
        if state == self._written and self._file.exists():
            return False
        now = current_clock().now()
        good = [vars(client) for client in self._clients.all() if client.is_good(now)]
        write_access(self._file, good, replicas)
        self._written = state
        return True
