"""This module is one endpoint of a process that several rarely asked ones share.

Its log is opened and its models are loaded when it is asked, and let go when it has not been for
long, or when others need the room. What is counted of it, and who may ask how much, goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from headrace.clock import current_clock
from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from operators.bundle import read_card
from serving._request_errors import RequestError
from serving.access_keys import Verb
from serving.lane.app import LaneApp
from serving.lane.arms import Arms, Out
from serving.lane.exchange import Answer, Asked, Receive, Send, send_answer
from serving.lane.gate import gate_of
from serving.lane.inputs import inputs_of
from serving.lane.loading import load_decider, load_model, load_reader
from serving.lane.meters import Meters
from serving.lane.table import LaneTable
from serving.lane.warm import Warm
from serving.lane.watching import Watch

_PLAIN = b"text/plain; version=0.0.4; charset=utf-8"
PATHS: Mapping[str, Verb | None] = {
    "": "read",
    "/decide": "decide",
    "/decide-batch": "decide",
    "/metrics": "read",
    "/openapi.json": None,
    "/outcomes": "outcomes",
    "/page": None,
    "/page/page.css": None,
    "/page/page.js": None,
    "/rank": "decide",
    "/stats": "read",
}
"""What may be asked of a member, after `/v1/<endpoint>`, and what right it takes."""


class Member:
    """This is one endpoint that shares a process; nothing of it is loaded before it is asked.

    Args:
        table: Its first table.
        turn: Lets so many load at a time.
        on_out: Is called when a challenger is not asked any more.
    """

    def __init__(
        self, table: LaneTable, turn: asyncio.Semaphore, on_out: Callable[[Out], None]
    ) -> None:
        self.endpoint = table.endpoint
        self.table = table
        self.arms = Arms(on_out=on_out)
        self.used_at = current_clock().monotonic()
        self.users = 0
        """Requests under way, and those that wait for it to be loaded."""
        self._watch = Watch(table.endpoint)
        self._warm = Warm(load_model)
        self._gate = gate_of(table.endpoint, table.notices)
        self._turn = turn
        self._one_at_a_time = asyncio.Lock()
        self._app: LaneApp | None = None
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._loading: asyncio.Task[LaneApp] | None = None

    @property
    def meters(self) -> Meters:
        """What is counted of it, since the process began."""
        return self._watch.meters

    @property
    def is_loaded(self) -> bool:
        """Whether its models are in memory and its log is open."""
        return self._app is not None

    async def take(self, table: LaneTable) -> None:
        """Answer with another table from now on; one that is asleep only looks whether it can.

        Raises:
            HeadraceError: It cannot; it answers as before.
        """
        async with self._one_at_a_time:
            if self._app is not None:
                await self._follow(self._app, table)
            else:
                await asyncio.to_thread(_require_possible, table)
            self.table = table

    async def answer(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, patience: float
    ) -> None:
        """Answer a request, after loading what it takes.

        Args:
            scope: As ASGI gives it.
            receive: Likewise.
            send: Likewise.
            patience: Seconds for which loading is waited for.

        Raises:
            RequestError: It is refused before anything is loaded for it, or that takes too long.
        """
        self.users += 1
        is_scrape = scope["path"] == f"/v1/{self.endpoint}/metrics"
        try:
            app = self._app
            if app is None and is_scrape:  # to be counted keeps nobody awake
                self._admit(Asked(scope, receive))
                await send_answer(send, Answer(b"# asleep\n", content_type=_PLAIN))
                return
            if app is None:
                self._admit(Asked(scope, receive))
                app = await self._loaded_within(patience)
            await app(scope, receive, send)
        finally:
            self.users -= 1
            if not is_scrape:
                self.used_at = current_clock().monotonic()

    async def sleep(self) -> None:
        """Let go of models and log, unless it is asked just now; the next request wakes it."""
        async with self._one_at_a_time:
            if self.users or self._app is None:
                return
            app, self._app = self._app, None
            self.arms.close()
            self._warm.close()
            await asyncio.to_thread(app.log.close)

    async def leave(self) -> None:
        """Close everything; nothing is answered any more."""
        async with self._one_at_a_time:
            app, self._app = self._app, None
            self.arms.close()
            if app is not None:
                await asyncio.to_thread(app.log.close)
            await asyncio.to_thread(self._watch.close)

    def _admit(self, asked: Asked) -> None:
        """Refuse what is not worth loading anything for.

        Raises:
            RequestError: There is no such path, or its sender may not ask for it.
        """
        own = f"/v1/{self.endpoint}"
        inner = asked.path.removeprefix(own)
        if inner not in PATHS:
            raise RequestError.unknown_path(asked.path, [own + path for path in PATHS])
        self._gate.admit(asked, PATHS[inner])

    async def _loaded_within(self, patience: float) -> LaneApp:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.get_running_loop().create_task(self._load())
            self._loading.add_done_callback(_seen)
        try:
            # whoever goes, or waits no longer, leaves it to those who come next
            return await asyncio.wait_for(asyncio.shield(self._loading), patience)
        except TimeoutError:
            raise RequestError.starting(self.endpoint) from None
        except RequestError:
            raise
        except HeadraceError as error:
            raise RequestError(
                "starting",
                f"The endpoint '{self.endpoint}' cannot be loaded: {error.problem}",
                remedy=error.remedy,
            ) from error

    async def _load(self) -> LaneApp:
        async with self._one_at_a_time, self._turn:
            if self._app is not None:
                return self._app
            table = self.table
            log = await asyncio.to_thread(
                DecisionLog.open,
                table.log,
                writer=f"lane-{os.getpid()}",
                durability=table.durability,
            )
            try:
                app = LaneApp(self.endpoint, log, self._gate, self._watch)
                await self._follow(app, table)
            except BaseException:
                await asyncio.to_thread(log.close)
                raise
            self._app = app
            return app

    async def _follow(self, app: LaneApp, table: LaneTable) -> None:
        decider = await load_decider(
            table,
            app.log,
            self._pending,
            arms=self.arms,
            meters=app.meters,
            warm=self._warm,
        )
        app.answer_with(decider)
        self._warm.keep(table, decider.champion)


def _require_possible(table: LaneTable) -> None:
    """Require what can be seen of a table without loading a model."""
    found = inputs_of(table, read_card(table.champion.folder))
    load_reader(table, found.lookups).close()


def _seen(task: asyncio.Task[LaneApp]) -> None:
    """Take note of an error that nobody may wait for any more."""
    if not task.cancelled():
        task.exception()
