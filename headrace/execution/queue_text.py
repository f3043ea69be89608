"""This module says for readers what nodes hold, and what they wait for and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.capacity import Capacity
from headrace.execution.ledger import GPU, LIMIT, MEMORY, Demand, Holding, in_order, lacking

_NAMED = 3  # holders that are named; of the others it is said how many there are


def waiting_text(
    queued: Holding, others: Sequence[Holding], capacity: Capacity, now: datetime
) -> str:
    """Return for what a node waits, who holds it and how many come first.

    Args:
        queued: The node that waits.
        others: All that hold or wait, the node among them.
        capacity: What there is.
        now: The present moment, UTC.
    """
    things = lacking(others, capacity).get(queued.ticket or 0, ())
    wanted = " and ".join(thing_text(thing, queued.demand, capacity) for thing in things)
    concerned = [
        (ticket, holding)
        for ticket, holding in in_order(others)
        if ticket != queued.ticket and set(things) & holding.demand.scarce.keys()
    ]
    holders = [holder_text(h, now) for _, h in concerned if h.state == "holding"]
    first = sum(h.state == "waiting" and t < (queued.ticket or 0) for t, h in concerned)
    said = f"waits for {wanted or 'room'}"
    if holders:
        more = [f"{len(holders) - _NAMED} more"] if len(holders) > _NAMED else []
        said += f", held by {_listed([*holders[:_NAMED], *more])}"
    if first:
        said += f"; {first} {'node comes' if first == 1 else 'nodes come'} first"
    return said


def entered_text(demand: Demand, capacity: Capacity, seconds: float) -> str:
    """Return that a node waits no longer."""
    things = _listed([thing_text(thing, demand, capacity) for thing in demand.scarce])
    return f"has {things} after {duration_text(seconds)}"


def holder_text(holding: Holding, now: datetime) -> str:
    """Return who holds something, and for how long."""
    held = duration_text((now - holding.since).total_seconds())
    return f"run:{holding.run_id[:8]} '{holding.node}' ({held})"


def thing_text(thing: str, demand: Demand, capacity: Capacity) -> str:
    """Return how much of a scarce thing is demanded, such as "the GPU" or "4GB of memory"."""
    if thing == GPU:
        if capacity.gpus == 1 and demand.gpu == 1:
            return "the GPU"
        return f"{demand.gpu:g} of {capacity.gpus} {'GPU' if capacity.gpus == 1 else 'GPUs'}"
    if thing == MEMORY:
        return f"{size_text(demand.memory or 0)} of memory"
    return f"the limit '{thing.removeprefix(LIMIT)}'"


def amount_text(thing: str, amount: float) -> str:
    """Return an amount of a scarce thing, such as "2 GPUs"."""
    if thing == GPU:
        return f"{amount:g} {'GPU' if amount == 1 else 'GPUs'}"
    if thing == MEMORY:
        return f"{size_text(amount)} of memory"
    return f"{amount:g} of the limit '{thing.removeprefix(LIMIT)}'"


def size_text(count: float) -> str:
    """Return bytes as a reader says them, such as "1.5GB"."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}B"


def duration_text(seconds: float) -> str:
    """Return a duration in its largest whole unit, such as "2 min"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, int(seconds))} s"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
