"""This module is the life of a lane's replica: its log, its server, and one table after another."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError, ServiceError
from headrace.settings import settings
from serving.host_replicas import BUSY_SECONDS, IDLE_SECONDS, NOTICE_SECONDS
from serving.lane.app import LaneApp
from serving.lane.arms import Arms
from serving.lane.busyness import Busyness
from serving.lane.far_scorer import Ask
from serving.lane.gate import gate_of
from serving.lane.loading import load_decider, load_model
from serving.lane.notices import (
    LaneNotice,
    lane_file,
    leave_file,
    own_start,
    read_lanes,
    write_notice,
)
from serving.lane.ports import choosing_ports, forget_left
from serving.lane.server import LaneServer
from serving.lane.table import LaneTable
from serving.lane.warm import Warm
from serving.tls import lane_tls, server_context

_WATCH_SECONDS = 0.5
_log = logging.getLogger("headrace.lane")


class LaneReplica:
    """This answers for one endpoint; Ray Serve makes it, and gives it each new table.

    Args:
        ask: Asks the processes that score, where there are some.
    """

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask = ask
        self._decisions: DecisionLog | None = None
        self._app: LaneApp | None = None
        self._server: LaneServer | None = None
        self._table: LaneTable | None = None
        self._notice = LaneNotice(generation=0, url=None, pid=os.getpid(), started=own_start())
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._arms = Arms(on_out=lambda _: self._tell())
        self._busyness = Busyness(lambda busy: self._tell(busy=busy))
        self._leaving: asyncio.Task[None] | None = None
        self._warm = Warm(load_model)

    async def take(self, document: dict[str, Any]) -> None:
        """Switch to a table; one that cannot be loaded leaves what answers now in place.

        Raises:
            ServiceError: The first table of this replica cannot be loaded while others answer: it
                must not replace them.
        """
        table = LaneTable.from_json(document)
        if self._decisions is None:
            self._decisions = await asyncio.to_thread(
                DecisionLog.open,
                table.log,
                writer=f"lane-{os.getpid()}",
                durability=table.durability,
            )
        try:
            app = self._app = self._app or LaneApp(
                table.endpoint, self._decisions, gate_of(table.endpoint, table.notices)
            )
            decider = await load_decider(
                table,
                self._decisions,
                self._pending,
                arms=self._arms,
                meters=app.meters,
                ask=self._ask,
                warm=self._warm,
            )
        except Exception as error:  # whatever it is: Serve would end a replica that raises it
            await self._refuse(table, error)
            return
        app.answer_with(decider)
        self._warm.keep(table, decider.champion)
        # listening only now: it may share the port of the one that it replaces, which answers
        self._listen(table)
        self._table = table
        self._busyness.measure(wanted=table.replicas[0] < table.replicas[1])
        self._tell(generation=table.generation, code=table.code, failed=0, message="")

    async def leave(self) -> None:
        """Stop answering, after what has begun, and let clients know before."""
        table, self._table = self._table, None  # nothing is told any more
        self._busyness.measure(wanted=False)
        if table is not None:
            path = lane_file(table.notices, table.endpoint, self._notice)
            path.unlink(missing_ok=True)
            leave_file(path).unlink(missing_ok=True)
        if self._app is not None:
            self._app.leaving = True
            self._app.meters.events.tell("drain")
        if self._server is not None:
            await self._server.drain(
                notice_seconds=NOTICE_SECONDS,
                idle_seconds=IDLE_SECONDS,
                busy_seconds=BUSY_SECONDS,
            )
        self._arms.close()
        self._warm.close()
        if self._app is not None:
            await asyncio.to_thread(self._app.watch.close)
        if self._decisions is not None:
            await asyncio.to_thread(self._decisions.close)

    def require_alive(self) -> None:
        """Raise when this replica can no longer answer, so that Ray Serve starts another."""
        if self._server is not None:
            self._server.require_alive()

    async def _refuse(self, table: LaneTable, error: Exception) -> None:
        """Say that a table cannot be loaded.

        Raises:
            ServiceError: This replica has no other table, and others answer.
        """
        known = isinstance(error, HeadraceError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        _log.error(
            "Table %s of '%s': %s",
            table.generation,
            table.endpoint,
            message,
            exc_info=error if not known else None,
        )
        if self._app is not None:
            self._app.meters.events.tell("table", failed=table.generation, problem=message)
        others = [n for n in read_lanes(table.notices, table.endpoint) if n.generation]
        if self._notice.generation == 0 and others:
            self._table = table
            self._tell(failed=table.generation, message=message)
            raise ServiceError(
                f"A new replica of '{table.endpoint}' cannot take table {table.generation}: "
                f"{message}",
                remedy="Correct the cause; those that answer go on until then.",
            ) from error
        self._listen(table)
        self._table = self._table or table
        self._tell(failed=table.generation, message=message)

    def _listen(self, table: LaneTable) -> None:
        """Begin to listen, and have an address to tell; a second time changes nothing."""
        if self._server is None and self._app is not None:
            files = lane_tls(settings())
            tls = None if files is None else server_context(files)
            with choosing_ports(table) as ports:
                self._server = LaneServer(
                    self._app, ports.wanted, host=table.host, tls=tls, shared=ports.shared
                )
                self._server.start()
                self._notice = replace(self._notice, url=self._server.url)
                self._table = self._table or table
                self._tell()
                self._watch()
                forget_left(table, self._notice.port)

    def _watch(self) -> None:
        """Leave when the host says so: one whose Ray died hears it from nobody else."""
        if self._table is None:
            return
        loop = asyncio.get_running_loop()
        if leave_file(lane_file(self._table.notices, self._table.endpoint, self._notice)).exists():
            self._leaving = loop.create_task(self.leave())
        else:
            loop.call_later(_WATCH_SECONDS, self._watch)

    def _tell(self, **changes: Any) -> None:
        """Change the notice; one that leaves tells nothing any more."""
        out = [[each.model, each.experiment, each.reason] for each in self._arms.out]
        self._notice = replace(self._notice, **changes, out=out)
        if self._table is not None:
            path = lane_file(self._table.notices, self._table.endpoint, self._notice)
            write_notice(path, self._notice)
