"""This module lets nodes of all runs of a machine share what is scarce, without any server.

Each node that runs or waits is a small file in one folder. A node that wants nothing scarce writes
its file and goes on. One that does draws a ticket under a lock, and enters when `ledger.lacking`
says so; leaving is removing the file. A file whose process has ended counts for nothing, so that
a killed run holds nothing. Cores are counted and shown, never queued for: see `ledger`.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.capacity import Capacity, capacity_of, unknown_limit
from headrace.clock import SystemClock
from headrace.errors import ServiceError
from headrace.execution.ledger import Demand, Holding, in_order, lacking, of_capacity
from headrace.execution.living import is_alive, own_start
from headrace.execution.queue_text import (
    amount_text,
    entered_text,
    waiting_text,
)

if TYPE_CHECKING:
    from headrace.settings import Settings

Tell = Callable[[str], None]

_POLL_SECONDS, _SELDOM_SECONDS = 0.05, 0.5
_FREE, _TICKET = "free-", "ticket-"  # what files are named; only the second sort is queued
_CLOCK = SystemClock()  # durations are shown to people, whatever time a replay plays in
_numbers = itertools.count()
_swept: set[tuple[int, Path]] = set()


def room_of(settings: Settings) -> Room:
    """Return the room that all runs under the same home share on this machine."""
    # a home may lie on a disk that several machines share, and process ids mean nothing there
    folder = settings.run_folder / "room" / (platform.node() or "localhost")
    return Room(folder=folder, capacity=capacity_of(settings))


@dataclass(frozen=True, kw_only=True)
class Room:
    """This is the machine as its nodes share it, safe among threads and processes.

    Args:
        folder: Where the nodes' files lie; made when a node first needs it.
        capacity: What there is to share.
    """

    folder: Path
    capacity: Capacity

    @contextmanager
    def taken(
        self,
        demand: Demand,
        *,
        run_id: str,
        flow: str,
        node: str,
        tell: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[float]:
        """Hold what a node demands while the block runs, after waiting until it is free.

        Args:
            demand: What the node uses.
            run_id: The run.
            flow: The flow.
            node: The node's path.
            tell: Is told when the node has to wait, for whom, and when it waits no longer.
            stop: When set, a node that waits gives up.

        Yields:
            Seconds waited; 0.0 for one that entered at once.

        Raises:
            UnknownNameError: It wants a limit that is not set.
            ServiceError: It wants more than there is, or gave up.
        """
        held = Holding(
            ticket=None,
            state="holding",
            run_id=run_id,
            flow=flow,
            node=node,
            demand=demand,
            since=_CLOCK.now(),
            pid=os.getpid(),
            process_started=own_start(),
        )
        with self._shown(held) if not demand.scarce else self._queued(held, tell, stop) as waited:
            yield waited

    def holdings(self) -> list[Holding]:
        """Return the nodes that run, then those that wait, in the order of their arrival."""
        found = [holding for _, holding in self._read(_FREE) if _lives(holding)]
        found += self._living()
        return sorted(found, key=lambda h: (h.state == "waiting", h.ticket or 0, h.since))

    @contextmanager
    def _shown(self, held: Holding) -> Iterator[float]:
        """Write down a node that wants nothing scarce, for others to see."""
        path = self.folder / f"{_FREE}{held.pid}-{next(_numbers)}.json"
        try:
            with suppress(OSError):  # a full disk is told by what must be written
                self._sweep_once()
                path.write_text(json.dumps(held.to_json()), encoding="utf-8")
            yield 0.0
        finally:
            with suppress(OSError):
                path.unlink()

    @contextmanager
    def _queued(
        self, held: Holding, tell: Tell | None, stop: threading.Event | None
    ) -> Iterator[float]:
        """Queue a node, wait, and yield the seconds; whatever happens, it leaves the queue."""
        self._refuse_impossible(held.demand, held.node)
        try:
            self._sweep_once()
            queued = self._drawn(held)
        except OSError as problem:
            raise ServiceError(
                f"'{held.node}' cannot queue for room in '{self.folder}': {problem}.",
                remedy="Free some space on its disk, and check that this user may write there.",
            ) from problem
        try:
            yield 0.0 if queued.state == "holding" else self._waited(queued, tell, stop)
        finally:
            self._file(queued).unlink(missing_ok=True)

    def _drawn(self, held: Holding) -> Holding:
        """Give a node its ticket, and let it enter where there is room."""
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleaned up
        with self._locked():
            others = self._living()
            ticket = max((t for t, _ in in_order(others)), default=0) + 1
            queued = replace(held, ticket=ticket, state="waiting")
            if not lacking([*others, queued], self.capacity)[ticket]:
                queued = replace(queued, state="holding")
            self._write(queued)
        return queued

    def _waited(self, queued: Holding, tell: Tell | None, stop: threading.Event | None) -> float:
        """Wait until a node may enter, and return the seconds."""
        began, stop = time.monotonic(), stop or threading.Event()
        if tell is not None:
            tell(waiting_text(queued, self._living(), self.capacity, queued.since))
        while not self._enters(queued):
            # only who comes next must be quick: of many that wait, most look seldom
            if stop.wait(min(_POLL_SECONDS * (1 + self._ahead(queued)), _SELDOM_SECONDS)):
                raise ServiceError(
                    f"'{queued.node}' no longer waits for room: its run was stopped.",
                    remedy="Run the flow again; what was done is cached.",
                )
        waited = time.monotonic() - began
        if tell is not None:
            tell(entered_text(queued.demand, self.capacity, waited))
        return waited

    def _enters(self, queued: Holding) -> bool:
        """Turn a waiting node into a holding one, if it is its turn."""
        if self._lacks(queued):  # most looks end here, and need no lock
            return False
        with self._locked():
            if self._lacks(queued):
                return False
            self._write(replace(queued, state="holding", since=_CLOCK.now()))
        return True

    def _lacks(self, queued: Holding) -> tuple[str, ...]:
        return lacking([*self._living(besides=queued), queued], self.capacity)[queued.ticket or 0]

    def _ahead(self, queued: Holding) -> int:
        """Return how many came before and are still there."""
        return sum(name < self._file(queued).name for name in self._names(_TICKET))

    def _refuse_impossible(self, demand: Demand, node: str) -> None:
        for name in demand.limits:
            if name not in self.capacity.limits:
                raise unknown_limit(f"node '{node}'", name, self.capacity)
        for thing, wanted in demand.scarce.items():
            if wanted > of_capacity(thing, self.capacity):
                raise ServiceError(
                    f"'{node}' can never run here: it needs {amount_text(thing, wanted)}, and all "
                    f"runs together have {amount_text(thing, of_capacity(thing, self.capacity))}.",
                    remedy="Lower what the decorator declares, or run it where there is more.",
                )

    # --- files ---

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the queue still; nobody else draws or enters meanwhile."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # closing would not do: a process that another thread forked meanwhile has it open
                fcntl.flock(lock, fcntl.LOCK_UN)

    def _file(self, queued: Holding) -> Path:
        return self.folder / f"{_TICKET}{queued.ticket:08d}.json"

    def _write(self, queued: Holding) -> None:
        path = self._file(queued)
        half = path.with_suffix(".half")
        half.write_text(json.dumps(queued.to_json()), encoding="utf-8")
        half.replace(path)  # a reader sees the old or the new, never half of it

    def _living(self, besides: Holding | None = None) -> list[Holding]:
        """Return the queue without those whose process has ended."""
        left_out = None if besides is None else besides.ticket
        return [h for _, h in self._read(_TICKET) if h.ticket != left_out and _lives(h)]

    def _read(self, prefix: str) -> Iterator[tuple[Path, Holding]]:
        for name in self._names(prefix):
            path = self.folder / name
            try:
                yield path, Holding.from_json(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError):
                continue  # it left meanwhile, or is being written

    def _names(self, prefix: str) -> list[str]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(n for n in names if n.startswith(prefix) and n.endswith(".json"))

    def _sweep_once(self) -> None:
        """Make the folder, and remove what killed processes left; once a process."""
        this = os.getpid(), self.folder
        if this in _swept:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            for prefix in (_FREE, _TICKET):
                for path, holding in self._read(prefix):
                    if not _lives(holding):
                        path.unlink(missing_ok=True)
        _swept.add(this)


def _lives(holding: Holding) -> bool:
    return is_alive(holding.pid, holding.process_started)
