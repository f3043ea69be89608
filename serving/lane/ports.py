"""This module chooses the port of a replica: the one of before if it can be had."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serving.lane.notices import is_alive, written_lanes
from serving.lane.table import LaneTable


@dataclass(frozen=True, kw_only=True)
class Ports:
    """This is where a replica may listen.

    Args:
        wanted: Ports to try, in this order.
        shared: Those of them that the replica has which is to be replaced.
    """

    wanted: tuple[int, ...]
    shared: frozenset[int]


@contextmanager
def choosing_ports(table: LaneTable) -> Iterator[Ports]:
    """Say which ports a starting replica may take; no other lane takes one meanwhile.

    An endpoint with one replica is replaced on its port, so that clients that know only this port
    notice nothing. Where there are several, each has its own, and takes that of one that died.
    """
    table.notices.mkdir(parents=True, exist_ok=True)
    with (table.notices / "ports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written = written_lanes(table.notices, table.endpoint)
        # several replicas of one process, as tests have them, do not replace one another
        others = [n for n in written.values() if n.port and is_alive(n)]
        alive = {n.port for n in others}
        left = [n.port for n in written.values() if n.port and not is_alive(n)]
        if table.replicas[1] == 1 and len(alive) == 1 and others[0].pid != os.getpid():
            yield Ports(wanted=tuple(alive), shared=frozenset(alive))
            return
        known = [port for port in (table.port, *left) if port and port not in alive]
        yield Ports(wanted=tuple(dict.fromkeys(known)), shared=frozenset())


def forget_left(table: LaneTable, port: int) -> None:
    """Remove the notices that dead replicas left of a port that another one has now."""
    for path, notice in written_lanes(table.notices, table.endpoint).items():
        if notice.port == port and not is_alive(notice):
            path.unlink(missing_ok=True)
