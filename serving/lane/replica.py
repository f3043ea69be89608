"""This module is the life of a lane's replica: its log, its server, and one table after another."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving.lane.app import LaneApp
from serving.lane.loading import load_decider
from serving.lane.notices import LaneNotice, lane_file, read_lane, write_notice
from serving.lane.server import LaneServer
from serving.lane.table import LaneTable

_log = logging.getLogger("headrace.lane")


class LaneReplica:
    """This answers for one endpoint; Ray Serve makes it, and gives it each new table."""

    def __init__(self) -> None:
        self._decisions: DecisionLog | None = None
        self._app: LaneApp | None = None
        self._server: LaneServer | None = None
        self._generation = 0
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def take(self, document: dict[str, Any]) -> None:
        """Switch to a table; one that cannot be loaded leaves what answers now in place."""
        table = LaneTable.from_json(document)
        if self._decisions is None:
            self._decisions = await asyncio.to_thread(
                DecisionLog.open,
                table.log,
                writer=f"lane-{os.getpid()}",
                durability=table.durability,
            )
        if self._app is None or self._server is None:
            self._app = LaneApp(table.endpoint, self._decisions)
            self._server = LaneServer(self._app, table.port or _port_before(table))
            self._server.start()
        try:
            decider = await load_decider(table, self._decisions, self._pending)
        except Exception as error:  # whatever it is: Serve would end a replica that raises it
            known = isinstance(error, HeadraceError)
            message = str(error) if known else f"{type(error).__name__}: {error}"
            _log.error(
                "Table %s of '%s': %s",
                table.generation,
                table.endpoint,
                message,
                exc_info=not known,
            )
            self._tell(table, failed=table.generation, message=message)
            return
        self._app.answer_with(decider)
        self._generation = table.generation
        self._tell(table)

    def require_alive(self) -> None:
        """Raise when this replica can no longer answer, so that Ray Serve starts another."""
        if self._server is not None:
            self._server.require_alive()

    def _tell(self, table: LaneTable, *, failed: int = 0, message: str = "") -> None:
        assert self._server is not None  # noqa: S101  it was started before
        notice = LaneNotice(
            generation=self._generation,
            url=self._server.url,
            pid=os.getpid(),
            failed=failed,
            message=message,
        )
        write_notice(lane_file(table.notices, table.endpoint), notice)


def _port_before(table: LaneTable) -> int:
    """Return the port of the replica before this one, so that clients find it where it was."""
    notice = read_lane(table.notices, table.endpoint)
    return int(notice.url.rpartition(":")[2]) if notice is not None and notice.url else 0
