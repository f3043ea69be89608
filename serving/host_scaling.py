"""This module decides how many replicas an endpoint has, within bounds, from how busy they are.

It adds replicas soon and takes them away late: one too many costs memory, one too few costs those
who wait. Between the two it does nothing, so that a load that stays as it is moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from serving.host_replicas import wanted_replicas
from serving.lane.table import LaneTable

if TYPE_CHECKING:
    from serving.lane.notices import LaneNotice

TOO_BUSY, AIM, FITS = 0.7, 0.55, 0.5
"""Above the first share replicas are added, so many that it falls to the second; one is taken away
when the others would then be below the third."""

UP_SECONDS, DOWN_SECONDS = 4.0, 60.0
"""For how long it has to be so."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """This is how many replicas an endpoint is to have, and since when that seems wrong.

    Args:
        replicas: How many.
        busy_since: Since when they are too busy, in monotonic seconds; None while they are not.
        idle_since: Since when one less would do; likewise.
    """

    replicas: int
    busy_since: float | None = None
    idle_since: float | None = None


def next_scale(
    scale: Scale, *, bounds: tuple[int, int], busy: Sequence[float], now: float
) -> Scale:
    """Return how many replicas an endpoint is to have from now on; pure.

    Args:
        scale: What it was.
        bounds: The least and the most.
        busy: Of each replica that answers, the share of the time in which it worked, 0 to 1.
        now: In monotonic seconds.
    """
    least, most = bounds
    count = min(max(scale.replicas, least), most)
    if count != scale.replicas:
        return Scale(replicas=count)
    if len(busy) != count:  # some are starting or leaving: what they will do is not known yet
        return replace(scale, idle_since=None)
    load = sum(busy)
    if load > TOO_BUSY * count and count < most:
        since = now if scale.busy_since is None else scale.busy_since
        if now - since < UP_SECONDS:
            return Scale(replicas=count, busy_since=since)
        return Scale(replicas=min(most, 2 * count, max(count + 1, ceil(load / AIM))))
    if count > least and load < FITS * (count - 1):
        since = now if scale.idle_since is None else scale.idle_since
        if now - since < DOWN_SECONDS:
            return Scale(replicas=count, idle_since=since)
        return Scale(replicas=count - 1)
    return Scale(replicas=count)


class Scaler:
    """This keeps the number of replicas of each endpoint whose placement leaves it open."""

    def __init__(self) -> None:
        self._scales: dict[str, Scale] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many replicas these endpoints are to have."""
        return {name: scale.replicas for name, scale in self._scales.items()}

    def wanted(self, table: LaneTable) -> int:
        """Return how many replicas an endpoint is to have."""
        scale = self._scales.get(table.endpoint)
        return wanted_replicas(table.replicas, None if scale is None else scale.replicas)

    def look(
        self, tables: Mapping[str, LaneTable], living: Mapping[str, Sequence[LaneNotice]]
    ) -> bool:
        """Decide anew, and return whether a number changed.

        Args:
            tables: What endpoints are to answer with.
            living: What their living replicas say.
        """
        before, now = self.counts, current_clock().monotonic()
        scales = {}
        for name, table in tables.items():
            if table.replicas[0] == table.replicas[1]:
                continue
            answering = [n.busy for n in living.get(name, ()) if n.url and n.generation]
            # a host that was started again finds as many as the one before wanted
            known = self._scales.get(name) or Scale(
                replicas=wanted_replicas(table.replicas, len(answering))
            )
            scales[name] = next_scale(known, bounds=table.replicas, busy=answering, now=now)
        self._scales = scales
        least = {name: table.replicas[0] for name, table in tables.items()}
        return any(count != before.get(name, least[name]) for name, count in self.counts.items())
