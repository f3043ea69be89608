"""This module says how many replicas of a lane are to run, and how long one takes to leave."""

from __future__ import annotations

# the host looks twenty times a second, and the front needs a moment to be told
NOTICE_SECONDS = 0.5
"""How long a replica that leaves still takes new connections."""

IDLE_SECONDS = 1.5
"""How long it then keeps connections that wait for a request."""

BUSY_SECONDS = 4.0
"""How long an answer may take after that."""

DRAIN_SECONDS = NOTICE_SECONDS + IDLE_SECONDS + BUSY_SECONDS
"""How long a replica takes at most to leave."""


def wanted_replicas(bounds: tuple[int, int], count: int | None = None) -> int:
    """Return how many replicas are to run now.

    Args:
        bounds: The least and the most that the endpoint's placement allows.
        count: How many its load asks for; None for the least.
    """
    least, most = bounds
    return least if count is None else min(max(count, least), most)


def surge_percent(replicas: int) -> int:
    """Return by how many percent Serve may exceed the replicas while it replaces them.

    It comes to one replica more: the new one answers before an old one leaves.
    """
    return max(1, 100 // replicas)
