"""This module looks at servers, machine, nodes and lanes at one moment; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import _services
from flows._command._gpus import Gpu, gpus
from headrace.capacity import Capacity
from headrace.clock import SystemClock
from headrace.errors import HeadraceError
from headrace.execution.ledger import GPU, LIMIT, MEMORY, Holding, lacking, used
from headrace.execution.room import room_of
from headrace.settings import Settings, settings

if TYPE_CHECKING:
    from serving.endpoints import Lane

_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """This is what is known of the lanes of endpoints.

    Args:
        by_endpoint: Endpoint to how its process was last seen; None where the host never saw it.
        unknown: Why nothing is known; None where it could be looked up.
    """

    by_endpoint: Mapping[str, Lane | None]
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """This is how everything is at one moment.

    Args:
        services: The servers.
        capacity: What flows may use.
        load: Processes that want a core, over the last 1, 5 and 15 minutes.
        memory_used: Bytes in use by all processes.
        gpus: The GPUs that the driver shows.
        nodes: The nodes that run, then those that wait, each in the order of arrival.
        lanes: The lanes; none while nothing is served.
        now: When.
    """

    services: Sequence[_services.ServiceState]
    capacity: Capacity
    load: tuple[float, float, float]
    memory_used: int
    gpus: Sequence[Gpu]
    nodes: Sequence[Holding]
    lanes: Lanes
    now: datetime

    @classmethod
    def here(cls) -> MachineState:
        """Return how this machine is now."""
        import psutil

        configured = settings()
        room, memory = room_of(configured), psutil.virtual_memory()
        return cls(
            services=_services.status(),
            capacity=room.capacity,
            load=psutil.getloadavg(),
            memory_used=memory.total - memory.available,
            gpus=gpus(),
            nodes=room.holdings(),
            lanes=_lanes(configured),
            now=SystemClock().now(),
        )

    @property
    def cores_taken(self) -> float:
        """Cores that the running nodes declare."""
        return sum(node.demand.cpu for node in self.nodes if node.state == "holding")

    def taken(self, thing: str) -> float:
        """Return how much of a scarce thing the running nodes hold."""
        return used(self.nodes)[thing]

    def waits_for(self, node: Holding) -> tuple[str, ...]:
        """Return the scarce things that a waiting node lacks."""
        if node.ticket is None:
            return ()
        return lacking(self.nodes, self.capacity).get(node.ticket, ())

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-like data; memory in bytes."""
        here = self.capacity
        return {
            "services": [asdict(service) for service in self.services],
            "machine": {
                "cores": here.cores,
                "cores_taken": self.cores_taken,
                "load": list(self.load),
                "memory": here.memory,
                "memory_used": self.memory_used,
                "memory_taken": int(self.taken(MEMORY)),
                "gpus": here.gpus,
                "gpus_taken": self.taken(GPU),
                "gpus_shown": [asdict(gpu) for gpu in self.gpus],
            },
            "limits": {
                name: {"places": places, "taken": int(self.taken(LIMIT + name))}
                for name, places in here.limits.items()
            },
            "nodes": [
                node.to_json() | {"waits_for": list(self.waits_for(node))} for node in self.nodes
            ],
            "lanes": [
                {"endpoint": name} | ({} if lane is None else asdict(lane))
                for name, lane in self.lanes.by_endpoint.items()
            ],
        }


def _lanes(configured: Settings) -> Lanes:
    """Return the lanes, if the serving host runs: without it, what is recorded is a memory."""
    from serving.hosted import is_up

    url = configured.database_url
    missing = url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file()
    if missing or not is_up():
        return Lanes(by_endpoint={})
    from serving.endpoints import Endpoints

    try:
        endpoints = Endpoints()
        return Lanes(by_endpoint={name: endpoints.lane(name) for name in endpoints.names()})
    except HeadraceError as error:  # the rest is worth showing all the same
        return Lanes(by_endpoint={}, unknown=error.problem)
