"""This module says how a lane stands, from what its replicas say and what ails Ray; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.clock import from_us
from serving.lane.notices import LaneNotice
from serving.lane.table import LaneTable

if TYPE_CHECKING:
    from serving._endpoint_records import LaneState
    from serving.endpoints import Lane

UNSAID = from_us(0)
"""When a lane was seen, before that is filled in where it is recorded."""


def lane_as_seen(
    table: LaneTable,
    notices: Sequence[LaneNotice],
    *,
    refused: str = "",
    broken: str = "",
    ailing: str = "",
    front: str | None = None,
) -> Lane:
    """Return how a lane stands.

    It serves a generation when every replica that answers does so with it; one that is starting
    holds nothing back, and one that could not take the table makes it fail.

    Args:
        table: What it is to answer with.
        notices: What its living replicas say.
        refused: Why a replica could not take the table and ended; empty when none did.
        broken: Why Ray Serve cannot run it; empty when it can.
        ailing: What ails Ray itself; empty when nothing does.
        front: The address of the front, None without one.
    """
    from serving.endpoints import Lane, Replica

    listening = [n for n in notices if n.url is not None]
    answering = [n for n in listening if n.generation > 0]
    failures = [n.message for n in notices if n.failed == table.generation]
    failures += [why for why in (refused, broken) if why]
    failure = next((why for why in failures if why), "")
    is_current = bool(answering) and all(n.generation >= table.generation for n in answering)
    state: LaneState = "serving" if is_current else "failed" if failures else "starting"
    first = next(iter(answering or listening), None)
    url = None if first is None else first.url
    return Lane(
        state=state,
        generation=table.generation,
        url=front if front is not None and answering else url,
        pid=None if first is None else first.pid,
        message=(failure or ailing) if state != "serving" else (ailing or failure),
        at=UNSAID,
        front=front,
        replicas=tuple(
            Replica(url=n.url, pid=n.pid, generation=n.generation) for n in answering if n.url
        ),
    )
