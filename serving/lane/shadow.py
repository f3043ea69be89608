"""This module scores an endpoint's decisions with the challenger, after they were answered.

It reads the decision log behind the lane instead of being called by it: the log is its queue. So a
challenger that is slow, fails or dies can neither delay nor change an answer, and one that was
started again goes on where it was. It is bounded: too far behind, it leaves decisions out and
counts them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import Any

from headrace.clock import current_clock
from headrace.decisions import DecisionLog, Position, Tail, load_cursor, save_cursor
from headrace.errors import HeadraceError
from serving.lane.deciding import Loaded
from serving.lane.loading import load_model
from serving.lane.notices import ShadowNotice, shadow_file, write_notice
from serving.lane.table import LaneTable

MOST_BEHIND = 64 << 20
"""Bytes of the log, about a hundred thousand decisions, after which decisions are left out."""

_BATCH = 512
_PAUSE_SECONDS = 0.05
_log = logging.getLogger("headrace.shadow")


class Shadow:
    """This scores the decisions of one experiment at one endpoint.

    Args:
        table: The routing table, with a challenger.
        model: The challenger.
        log: Where scores go; a writer of its own.
        most_behind: Bytes of the log that it may be behind.
    """

    def __init__(
        self, table: LaneTable, model: Loaded, log: DecisionLog, *, most_behind: int = MOST_BEHIND
    ) -> None:
        self._table = table
        self._model = model
        self._log = log
        self._most_behind = most_behind
        self._cursor = f"shadow-{table.experiment}"
        self._tail = Tail.open(table.log, after=load_cursor(table.log, self._cursor))
        self._unsaved: list[tuple[Position, dict[str, Any]]] = []
        self._is_scoring = False
        self.notice = ShadowNotice(model=model.ref, generation=table.generation, pid=os.getpid())

    def step(self) -> int:
        """Score what was decided since the last step, some of it; returns how many were read.

        Raises:
            LogWriteError: The scores cannot be written; the next step tries the same again.
            OSError: It cannot be kept how far it came; likewise, and the view knows them as one.
        """
        told, dropped = self.notice, 0
        if not self._unsaved:
            # what is read before the first decision of the experiment is history, not a queue
            if told.behind > self._most_behind and self._is_scoring:
                dropped = self._tail.skip_to_newest()
            self._unsaved = self._tail.poll(_BATCH)
        read = self._unsaved
        records = self._scored([record for _, record in read])
        if records:
            self._log.append(records)
        if read:
            save_cursor(self._table.log, self._cursor, read[-1][0])
            self._is_scoring = bool(records)
        self._unsaved = []
        self.notice = replace(
            told,
            scored=told.scored + len(records),
            failed=told.failed + sum("error" in record for record in records),
            dropped=told.dropped + dropped,
            # whoever got less than was asked for has read all
            behind=self._behind() if len(read) == _BATCH else 0,
            message="",
        )
        return len(read)

    def _behind(self) -> int:
        """Return how many bytes of the log were not read yet, of whatever kind."""
        read = self._tail.position.offsets
        folder = self._table.log / "segments"
        sizes = {file.stem: file.stat().st_size for file in folder.glob("*.log")}
        return sum(max(0, size - read.get(name, 0)) for name, size in sizes.items())

    def _scored(self, decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return a record for each decision of the experiment."""
        own = [d for d in decisions if d["experiment"] == self._table.experiment]
        by_columns: dict[int, list[dict[str, Any]]] = {}
        for decision in own:
            by_columns.setdefault(decision["columns"], []).append(decision)
        return [r for group in by_columns.values() for r in self._scored_alike(group)]

    def _scored_alike(self, decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        clock = current_clock()
        begun = clock.monotonic()
        outcomes: list[dict[str, Any]]
        try:
            outcomes = [{"score": score} for score in self._scores(decisions)]
        except Exception:
            outcomes = [self._alone(decision) for decision in decisions]
        each = (clock.monotonic() - begun) * 1000 / len(decisions)
        logged = clock.now_us()
        return [
            {
                "kind": "shadow",
                "id": decision["id"],
                "logged": logged,
                "model": self._model.ref,
                "experiment": self._table.experiment,
                "ms": round(each, 4),
                **outcome,
            }
            for decision, outcome in zip(decisions, outcomes, strict=True)
        ]

    def _alone(self, decision: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"score": self._scores([decision])[0]}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _scores(self, decisions: list[dict[str, Any]]) -> list[float]:
        names = self._tail.names(decisions[0]["columns"])
        place = {name: position for position, name in enumerate(names)}
        order = [place[feature.name] for feature in self._model.scorer.card.features]
        rows = [[d["features"][position] for position in order] for d in decisions]
        return self._model.score(rows)


class ShadowReplica:
    """This is the life of a shadow's replica; Ray Serve makes it and gives it each new table."""

    def __init__(self) -> None:
        self._decisions: DecisionLog | None = None
        self._shadow: Shadow | None = None
        self._task: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()

    async def take(self, document: dict[str, Any]) -> None:
        """Follow a table; without a challenger there is nothing to do."""
        table = LaneTable.from_json(document)
        await self._rest()
        notice = ShadowNotice(model=None, generation=table.generation, pid=os.getpid())
        if table.challenger is None:
            write_notice(shadow_file(table.notices, table.endpoint), notice)
            return
        try:
            model = await asyncio.to_thread(load_model, table.challenger)
            if self._decisions is None:
                self._decisions = await asyncio.to_thread(
                    DecisionLog.open, table.log, writer=f"shadow-{os.getpid()}"
                )
            self._shadow = await asyncio.to_thread(Shadow, table, model, self._decisions)
        except Exception as error:  # whatever it is: Serve would start a replica that raises anew
            message = _said(error)
            _log.error("Shadow of '%s': %s", table.endpoint, message)
            failed = replace(notice, model=table.challenger.ref, message=message)
            write_notice(shadow_file(table.notices, table.endpoint), failed)
            return
        self._task = asyncio.get_running_loop().create_task(self._follow(table, self._shadow))

    def require_alive(self) -> None:
        """Raise when following has ended on an error, so that Ray Serve starts another replica."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _follow(self, table: LaneTable, shadow: Shadow) -> None:
        told: ShadowNotice | None = None
        while not self._ends.is_set():
            try:
                read = await asyncio.to_thread(shadow.step)
            except (HeadraceError, OSError) as error:  # a full disk may be emptied
                _log.error("Shadow of '%s': %s", table.endpoint, error)
                shadow.notice = replace(shadow.notice, message=_said(error))
                read = 0
                await asyncio.sleep(1)
            if shadow.notice != told:
                told = shadow.notice
                write_notice(shadow_file(table.notices, table.endpoint), told)
            if not read:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _rest(self) -> None:
        """Stop following; a step that is under way ends first, in its thread."""
        if self._task is not None:
            self._ends.set()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._ends.clear()
        self._shadow = None


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
