"""This module is a lane in a thread of the benchmark, which is given one table after another."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from headrace.decisions import DecisionLog
from serving.lane.app import LaneApp
from serving.lane.arms import Arms, Out
from serving.lane.loading import load_decider
from serving.lane.server import LaneServer
from serving.lane.table import LaneTable


class LaneThread:
    """This is the lane's own app, server and log, in the event loop of a thread.

    Args:
        table: Its first table.
    """

    def __init__(self, table: LaneTable) -> None:
        self.out: dict[str, tuple[float, Out]] = {}
        """By its experiment, who is out, and since when, in monotonic seconds."""
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._log = DecisionLog.open(table.log, writer="bench")
        self._arms = Arms(on_out=self._left)
        self._app = LaneApp(table.endpoint, self._log)
        self.url = self._called(self._started())
        self.take(table)

    def take(self, table: LaneTable) -> float:
        """Answer with a table; return the moment from which on it does."""
        return float(self._called(self._taken(table)))

    def _called(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _started(self) -> str:
        self._server = LaneServer(self._app)
        self._server.start()
        return self._server.url

    async def _taken(self, table: LaneTable) -> float:
        decider = await load_decider(
            table, self._log, self._pending, arms=self._arms, meters=self._app.meters
        )
        self._app.answer_with(decider)
        return time.monotonic()

    def _left(self, out: Out) -> None:
        self.out[out.experiment] = (time.monotonic(), out)

    def wait_for_challengers(self) -> None:
        """Wait until no challenger is busy with what it was asked."""
        while self._called(self._is_busy()):
            time.sleep(0.02)

    async def _is_busy(self) -> bool:
        return self._arms.is_busy

    def close(self) -> None:
        """End it; a challenger that hangs is not waited for."""
        self._called(self._server.drain(notice_seconds=0.0, idle_seconds=0.0, busy_seconds=1.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._log.close()


@contextlib.contextmanager
def lane_thread(table: LaneTable) -> Iterator[LaneThread]:
    """Run a lane with a table."""
    lane = LaneThread(table)
    try:
        yield lane
    finally:
        lane.close()
