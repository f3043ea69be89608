"""This module bounds how often something is told: a burst at once, then one a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BURST = 20
PER_SECOND = 1.0
_SETTLES_SECONDS = 5.0


@dataclass(slots=True)
class _Kind:
    """This is what is left of a kind's budget.

    Args:
        tokens: How often it may be told at once.
        at: When that was worked out.
        left_out: How often it was not told since it was last told.
        since: When it was first left out after that.
    """

    tokens: float
    at: float
    left_out: int = 0
    since: float = 0.0


class Budget:
    """This says whether something of a kind may be told now, and counts what may not.

    Args:
        now: Gives monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kinds: dict[str, _Kind] = {}

    def spend(self, kind: str) -> bool:
        """Return whether one more may be told; one that may not is counted."""
        now = self._now()
        has = self._kinds.get(kind)
        if has is None:
            has = self._kinds[kind] = _Kind(float(BURST), now)
        has.tokens = min(float(BURST), has.tokens + (now - has.at) * PER_SECOND)
        has.at = now
        if has.tokens >= 1:
            has.tokens -= 1
            return True
        if not has.left_out:
            has.since = now
        has.left_out += 1
        return False

    def left_out(self, kind: str) -> int:
        """Return how many were not told since this was last asked."""
        has = self._kinds[kind]
        count, has.left_out = has.left_out, 0
        return count

    def settled(self) -> list[tuple[str, int]]:
        """Return the kinds of which some were left out a while ago, and how many."""
        ends = self._now() - _SETTLES_SECONDS
        due = [k for k, has in self._kinds.items() if has.left_out and has.since <= ends]
        return [(kind, self.left_out(kind)) for kind in due]
