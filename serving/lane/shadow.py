"""This module is the life of a shadow's replica: for each challenger a thread that follows the log.

It takes each new table and starts, keeps or ends threads; what they do is theirs alone, so that a
challenger that fails, is slow or cannot be loaded holds up neither another nor the table.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from headrace.decisions.log_writer import LogWriter
from serving.lane.bandit_thread import BanditThread, sampled
from serving.lane.guard_counts import GuardCounts
from serving.lane.guard_notice import GuardTeller
from serving.lane.notices import ShadowNotice, shadow_file, write_notice
from serving.lane.shadow_thread import ShadowThread, followed
from serving.lane.table import LaneTable

_TELL_SECONDS = 0.25


class ShadowReplica:
    """This scores what challengers would have said; Ray Serve gives it each new table."""

    def __init__(self) -> None:
        self._table: LaneTable | None = None
        self._threads: dict[str, ShadowThread] = {}  # by experiment, the first challenger's first
        self._bandit: BanditThread | None = None
        self._log: LogWriter | None = None
        self._opening = threading.Lock()
        self._told: ShadowNotice | None = None
        self._teller: asyncio.Task[None] | None = None
        self._guards = GuardCounts()
        self._guard_teller = GuardTeller(self._guards, "shadow")

    async def take(self, document: dict[str, Any]) -> None:
        """Follow a table: what stands in it as before goes on, the rest ends or begins."""
        table = LaneTable.from_json(document)
        self._table = table
        self._guard_teller.follow(table)
        threads = {}
        for rival in table.compared:
            running = self._threads.pop(rival.experiment, None)
            if running is not None and running.follows != followed(table, rival):
                running.end()
                running = None
            threads[rival.experiment] = running or ShadowThread(
                table,
                rival,
                lambda: self._opened(table.log),
                tally=self._guards.of(table.guards, rival.model.ref),
            )
        for gone in self._threads.values():
            gone.end()
        self._threads = threads
        self._sample(table)
        self._tell()
        if self._teller is None:
            self._teller = asyncio.get_running_loop().create_task(self._keep_telling())

    def require_alive(self) -> None:
        """Raise when nobody says any more how it stands, so that Ray Serve starts another."""
        if self._teller is not None and self._teller.done() and not self._teller.cancelled():
            self._teller.result()

    async def close(self, *, patience_seconds: float = 5.0) -> bool:
        """End all threads, and return whether they did in time; one that is stuck is left behind.

        Args:
            patience_seconds: How long to wait for all of them together.
        """
        running: list[ShadowThread | BanditThread] = [*self._threads.values()]
        if self._bandit is not None:
            running.append(self._bandit)
        for thread in running:
            thread.end()
        loop = asyncio.get_running_loop()
        ends = loop.time() + patience_seconds
        for thread in running:
            while not thread.join(0) and loop.time() < ends:
                await asyncio.sleep(0.01)
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
        have_ended = all(thread.join(0) for thread in running)
        self._guard_teller.tell()
        if have_ended and self._log is not None:
            self._log.close()
        return have_ended

    def _sample(self, table: LaneTable) -> None:
        """Have somebody work out shares where outcomes say them, and nobody else."""
        if self._bandit is not None and self._bandit.follows == sampled(table):
            self._bandit.take(table)
            return
        if self._bandit is not None:
            self._bandit.end()
        self._bandit = None if sampled(table) is None else BanditThread(table)

    def _opened(self, folder: Path) -> LogWriter:
        with self._opening:
            if self._log is None:
                self._log = LogWriter(folder, f"shadow-{os.getpid()}")
            return self._log

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            self._tell()
            self._guard_teller.tell()

    def _tell(self) -> None:
        assert self._table is not None  # noqa: S101  it was taken before
        figures = [thread.figures for thread in self._threads.values()]
        notice = ShadowNotice.of(self._table.generation, os.getpid(), figures)
        if notice != self._told:
            try:
                write_notice(shadow_file(self._table.notices, self._table.endpoint), notice)
            except OSError:  # a full disk may be emptied: said again then
                return
            self._told = notice
