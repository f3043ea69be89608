"""This module is the life of a process that answers for several rarely asked endpoints.

It listens on one port, each endpoint under its own paths. An endpoint is loaded when it is asked;
beyond so many, the one that was asked longest ago is let go. While one is loaded the others answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import settings
from serving._request_errors import RequestError
from serving.host_replicas import BUSY_SECONDS, IDLE_SECONDS, NOTICE_SECONDS
from serving.lane.exchange import Answer, GoneError, Receive, Send, send_answer
from serving.lane.member import Member
from serving.lane.meters import Meters
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
from serving.tls import lane_tls, server_context

PATIENCE_SECONDS = 10.0
"""How long a request waits for its endpoint to be loaded."""

IDLE_AFTER_SECONDS = 600.0
"""After how long without a request an endpoint's log is closed and its models are let go."""

_AT_A_TIME = 2
_LOOK_SECONDS = 0.5
_MOVED_SECONDS = 60.0
_log = logging.getLogger("headrace.lane")


class SharedApp:
    """This is the ASGI application of all endpoints of one process.

    Args:
        patience: Seconds for which a request waits for its endpoint to be loaded.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self.members: dict[str, Member] = {}
        self.meters = Meters("shared")  # of requests that are of no endpoint
        self.leaving = False
        self._patience = patience

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/healthz":
            await send_answer(send, self._health())
            return
        parts = scope["path"].split("/")
        name = parts[2] if len(parts) > 2 and parts[1] == "v1" else ""
        member = self.members.get(name)
        if member is None:
            self.meters.refused("unknown_endpoint")
            await send_answer(send, _refusal(RequestError.unknown_endpoint(name, self.members)))
            return
        try:
            await member.answer(scope, receive, send, self._patience)
        except RequestError as error:
            member.meters.refused(error.code)
            await send_answer(send, _refusal(error))
        except GoneError:
            self.meters.refused("gone")
        except Exception as error:  # whatever it is: the client is told in our words
            _log.exception("A request to %s failed.", scope["path"])
            await send_answer(send, _refusal(RequestError.internal(error)))

    def _health(self) -> Answer:
        if self.leaving or not self.members:
            return Answer(b'{"status":"leaving"}', 503, headers=((b"retry-after", b"1"),))
        return Answer(b'{"status":"ok"}')


class SharedReplica:
    """This answers for several endpoints; Ray Serve makes it, and gives it each new table.

    Args:
        most: Endpoints whose models are in memory at a time; None for what the settings say.
        idle_seconds: After how long without a request one is let go.
        patience: Seconds for which a request waits for its endpoint to be loaded.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        idle_seconds: float = IDLE_AFTER_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.app = SharedApp(patience)
        self._most = settings().shared_models if most is None else most
        self._idle_seconds = idle_seconds
        self._server: LaneServer | None = None
        self._turn = asyncio.Semaphore(_AT_A_TIME)
        self._notices: dict[str, LaneNotice] = {}
        self._moved: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.TimerHandle | None = None
        self._left = False

    async def take(self, document: Mapping[str, Any]) -> None:
        """Answer for these endpoints; a table that cannot be taken leaves what answers in place."""
        tables = [LaneTable.from_json(each) for each in document["tables"]]
        names = {table.endpoint for table in tables}
        for name in names:
            self._moved.pop(name, None)
        for name in self.app.members.keys() - names:
            self._moved.setdefault(name, current_clock().monotonic() + _MOVED_SECONDS)
        await asyncio.gather(*(self._take(table) for table in tables))
        self._listen(tables)
        for table in tables:
            self._tell(table.endpoint)

    async def leave(self) -> None:
        """Stop answering, after what has begun, and let clients know before."""
        if self._left:
            return
        self._left = self.app.leaving = True
        if self._watching is not None:
            self._watching.cancel()
        for name in list(self._notices):
            self._forget_notice(name)
        if self._server is not None:
            await self._server.drain(
                notice_seconds=NOTICE_SECONDS,
                idle_seconds=IDLE_SECONDS,
                busy_seconds=BUSY_SECONDS,
            )
        await asyncio.gather(*(member.leave() for member in self.app.members.values()))

    def require_alive(self) -> None:
        """Raise when this process can no longer answer, so that Ray Serve starts another."""
        if self._server is not None:
            self._server.require_alive()

    async def _take(self, table: LaneTable) -> None:
        name = table.endpoint
        notice = self._notices.get(
            name, LaneNotice(generation=0, url=None, pid=os.getpid(), started=own_start())
        )
        member = self.app.members.get(name)
        if member is None:
            member = Member(table, self._turn, lambda _: self._tell(name))
        try:
            if notice.generation != table.generation or member.table != table:
                await member.take(table)
        except Exception as error:  # whatever it is: the other endpoints answer
            known = isinstance(error, HeadraceError)
            message = str(error) if known else f"{type(error).__name__}: {error}"
            _log.error("Table %s of '%s': %s", table.generation, name, message)
            self._notices[name] = replace(notice, failed=table.generation, message=message)
        else:
            self._notices[name] = replace(
                notice, generation=table.generation, code=table.code, failed=0, message=""
            )
        self.app.members[name] = member

    def _listen(self, tables: Sequence[LaneTable]) -> None:
        """Begin to listen, on the port of before if it can be had."""
        if self._server is not None or not tables:
            return
        # the process that is to be replaced says where it listens for any endpoint that it has
        known = [t for t in tables if read_lanes(t.notices, t.endpoint)]
        table = (known or list(tables))[0]
        files = lane_tls(settings())
        tls = None if files is None else server_context(files)
        with choosing_ports(table) as ports:
            self._server = LaneServer(
                self.app, ports.wanted, host=table.host, tls=tls, shared=ports.shared
            )
            self._server.start()
            for each in tables:
                self._tell(each.endpoint)
        for each in tables:
            forget_left(each, self._notices[each.endpoint].port)
        self._watch()

    def _watch(self) -> None:
        """Let go of what is not asked, and leave when the host says so; twice a second."""
        self._watching = None
        if self._left:
            return
        files = [self._file(name) for name in self._notices]
        if any(leave_file(path).exists() for path in files):
            self._begin(self.leave())
            return
        self._drop_moved()
        self._rest()
        self._watching = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._watch)

    def _rest(self) -> None:
        """Let go of endpoints that nobody asked for long, and of those beyond the most."""
        now = current_clock().monotonic()
        loaded = sorted(
            (m for m in self.app.members.values() if m.is_loaded), key=lambda m: m.used_at
        )
        beyond = len(loaded) - self._most
        for place, member in enumerate(loaded):
            if not member.users and (place < beyond or now - member.used_at > self._idle_seconds):
                self._begin(member.sleep())

    def _drop_moved(self) -> None:
        """Forget endpoints that are not here any more, once they are answered for elsewhere."""
        now = current_clock().monotonic()
        for name, until in list(self._moved.items()):
            notices = self.app.members[name].table.notices
            others = [n for n in read_lanes(notices, name) if n.pid != os.getpid() and n.generation]
            if others or now > until:
                del self._moved[name]
                self._forget_notice(name)
                self._begin(self._drop(name))

    async def _drop(self, name: str) -> None:
        await asyncio.sleep(NOTICE_SECONDS + IDLE_SECONDS)  # until whoever asks has heard of it
        if name not in self._notices:
            await self.app.members.pop(name).leave()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _file(self, name: str) -> Path:
        notice = self._notices[name]
        return lane_file(self.app.members[name].table.notices, name, notice)

    def _forget_notice(self, name: str) -> None:
        if name in self._notices:
            path = self._file(name)
            del self._notices[name]
            path.unlink(missing_ok=True)
            leave_file(path).unlink(missing_ok=True)

    def _tell(self, name: str) -> None:
        """Write an endpoint's notice; a process that leaves writes none any more."""
        if self._server is None or self._left or name not in self._notices:
            return
        member = self.app.members.get(name)
        out = [] if member is None else [[o.model, o.experiment, o.reason] for o in member.arms.out]
        notice = replace(self._notices[name], url=self._server.url, out=out)
        self._notices[name] = notice
        if member is not None:
            write_notice(self._file(name), notice)


def _refusal(error: RequestError) -> Answer:
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="headrace"'))
    return Answer(error.to_json(), error.status, headers=tuple(headers))
