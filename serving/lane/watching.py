"""This module sets up what is seen of a lane, by the settings: counts, events and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.settings import settings
from serving.lane.events import Events
from serving.lane.guard_notice import GuardTeller
from serving.lane.meters import Meters
from serving.lane.siblings import Siblings
from serving.lane.tracing import Tracing

if TYPE_CHECKING:
    from serving.lane.deciding import Decider


class Watch:
    """This is what is seen of one endpoint's replica.

    Args:
        endpoint: Name of the endpoint.

    Raises:
        ServiceError: The settings ask for traces, and OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        of = settings()
        file = of.log_folder / "lanes" / f"{endpoint}.jsonl"
        events = Events(endpoint, file, slow_seconds=of.slow_answer_ms / 1000)
        self.meters = Meters(endpoint, events)
        self.siblings = Siblings(self.meters)
        self.guards = GuardTeller(self.meters.guards, "answers")
        self.tracing: Tracing | None = None
        if of.otlp_endpoint is not None:
            self.tracing = Tracing(endpoint, of.otlp_endpoint, of.trace_ratio)
            self.meters.is_tracing = True

    def follow(self, decider: Decider) -> None:
        """Note that the lane answers with another table from now on."""
        table, meters = decider.table, self.meters
        meters.events.generation = table.generation
        meters.only_breakers(each.model.ref for each in table.compared)
        meters.events.tell(
            "table",
            model=table.champion.ref,
            challengers=[each.model.ref for each in table.compared] or None,
        )
        self.siblings.follow(table)
        self.guards.follow(table)
        self.guards.keep_telling()

    def close(self) -> None:
        """Write and send what is left, when the replica ends."""
        self.siblings.leave()
        self.guards.tell()
        self.meters.events.finish()
        if self.tracing is not None:
            self.tracing.close()
