"""This module decides who may use what is scarce, first come first served; it touches nothing.

Scarce are GPUs, declared memory and named limits. Cores are not: the operating system shares them
among processes well, so that waiting for one would only waste it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from headrace.calls import Options
from headrace.capacity import Capacity
from headrace.machine import parsed_bytes

GPU = "gpu"
MEMORY = "memory"
LIMIT = "limit:"

_ROUNDING = 1e-9  # ten times a tenth of a GPU is a GPU


@dataclass(frozen=True, kw_only=True)
class Demand:
    """This is what a node uses while its body runs.

    Args:
        cpu: Cores.
        gpu: GPUs; a fraction is a share of one.
        memory: Bytes, None when it declares none.
        limits: Named limits, one place each.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    memory: int | None = None
    limits: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Options) -> Demand:
        """Return what an operator's options declare."""
        memory = None if options.memory is None else parsed_bytes(options.memory)
        return cls(cpu=options.cpu, gpu=options.gpu, memory=memory, limits=options.limits)

    @property
    def scarce(self) -> dict[str, float]:
        """How much it wants of what is queued for; empty for an ordinary node."""
        wanted: dict[str, float] = {LIMIT + name: 1.0 for name in self.limits}
        if self.gpu > 0:
            wanted[GPU] = self.gpu
        if self.memory:
            wanted[MEMORY] = float(self.memory)
        return wanted


@dataclass(frozen=True, kw_only=True)
class Holding:
    """This is a node that uses the machine, or waits for room.

    Attributes:
        ticket: Its place in the order of arrival; None where it wants nothing scarce.
        state: Whether its body runs.
        run_id: The run, whole.
        flow: The flow.
        node: The node's path.
        demand: What it uses, or will.
        since: When it began to hold or to wait, UTC.
        pid: Its process.
        process_started: When the operating system started that, in seconds since 1970.
    """

    ticket: int | None
    state: Literal["holding", "waiting"]
    run_id: str
    flow: str
    node: str
    demand: Demand
    since: datetime
    pid: int
    process_started: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "ticket": self.ticket,
            "state": self.state,
            "run_id": self.run_id,
            "flow": self.flow,
            "node": self.node,
            "cpu": self.demand.cpu,
            "gpu": self.demand.gpu,
            "memory": self.demand.memory,
            "limits": list(self.demand.limits),
            "since": self.since.isoformat(),
            "pid": self.pid,
            "process_started": self.process_started,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Holding:
        """Return what `to_json` wrote down."""
        return cls(
            ticket=value["ticket"],
            state=value["state"],
            run_id=value["run_id"],
            flow=value["flow"],
            node=value["node"],
            demand=Demand(
                cpu=value["cpu"],
                gpu=value["gpu"],
                memory=value["memory"],
                limits=tuple(value["limits"]),
            ),
            since=datetime.fromisoformat(value["since"]),
            pid=value["pid"],
            process_started=value["process_started"],
        )


def of_capacity(thing: str, capacity: Capacity) -> float:
    """Return how much there is of a scarce thing; none of a limit that nobody has set."""
    if thing == GPU:
        return float(capacity.gpus)
    if thing == MEMORY:
        return float(capacity.memory)
    return float(capacity.limits.get(thing.removeprefix(LIMIT), 0))


def used(holdings: Sequence[Holding]) -> Counter[str]:
    """Return how much of each scarce thing is held."""
    total: Counter[str] = Counter()
    for holding in holdings:
        if holding.state == "holding":
            total.update(holding.demand.scarce)
    return total


def lacking(holdings: Sequence[Holding], capacity: Capacity) -> dict[int, tuple[str, ...]]:
    """Return what each waiting node lacks, by ticket: a node that lacks nothing may enter.

    Who came earlier has a claim on all that it wants, also while it waits for something else. So
    small demands never overtake a big one that wants the same thing, and who wants other things
    passes by.

    Args:
        holdings: All that hold or wait, in any order.
        capacity: What there is.
    """
    claimed: Counter[str] = used(holdings)
    found: dict[int, tuple[str, ...]] = {}
    for ticket, holding in in_order(holdings):
        if holding.state == "waiting":
            wanted = holding.demand.scarce
            claimed.update(wanted)
            found[ticket] = tuple(
                thing
                for thing in wanted
                if claimed[thing] > of_capacity(thing, capacity) * (1 + _ROUNDING)
            )
    return found


def in_order(holdings: Sequence[Holding]) -> list[tuple[int, Holding]]:
    """Return those with a ticket, in the order of their arrival."""
    with_ticket = [(h.ticket, h) for h in holdings if h.ticket is not None]
    return sorted(with_ticket, key=lambda pair: pair[0])
