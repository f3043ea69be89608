"""This module counts what guardrails are about: answers of a model, failures, and slow calls.

Answers that fail by themselves count one by one. What shares a call shares its fate: a call that is
slow, or late, is one observation however many answers it held. Counting those as so many would let
one stall of a machine look like a model that is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.lane.table import Guarded

_MOST = 64


class GuardTally:
    """This is what one process counted of one model in one comparison, since it began.

    Args:
        limits_ms: Calls that take longer than each of these are counted, in milliseconds.
    """

    __slots__ = ("calls", "failures", "limits", "slow", "smallest", "trials")

    def __init__(self, limits_ms: Sequence[float]) -> None:
        self.trials = self.failures = self.calls = 0
        self.limits = {f"{limit:g}": limit / 1000 for limit in limits_ms}
        self.slow = dict.fromkeys(self.limits, 0)
        self.smallest = min(self.limits.values(), default=float("inf"))

    def answered(self, count: int, seconds: float) -> None:
        """Count a call that came back with answers."""
        self.trials += count
        self.calls += 1
        if seconds > self.smallest:
            self._slow(seconds)

    def came(self, count: int) -> None:
        """Count answers of a call that is counted by itself."""
        self.trials += count

    def called(self, seconds: float) -> None:
        """Count a call that came back, with whatever."""
        self.calls += 1
        if seconds > self.smallest:
            self._slow(seconds)

    def failed(self, count: int = 1) -> None:
        """Count answers that were errors or no numbers, or a call that came too late."""
        self.trials += count
        self.failures += count

    def _slow(self, seconds: float) -> None:
        for name, limit in self.limits.items():
            self.slow[name] += seconds > limit

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON-like data."""
        # what is counted last is read first: another thread may count in between
        failures, slow = self.failures, dict(self.slow)
        return {
            "trials": self.trials,
            "failures": failures,
            "calls": self.calls,
            "slow": slow,
        }


class GuardCounts:
    """These are the tallies of one process for one endpoint, from one table to the next."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], GuardTally] = {}

    def take(self, guards: Sequence[Guarded]) -> None:
        """Count these models from now on; what is counted already goes on."""
        for each in guards:
            key = each.model, each.experiment
            known = self._tallies.pop(key, None)
            self._tallies[key] = known or GuardTally(each.limits_ms)
        while len(self._tallies) > max(_MOST, len(guards)):
            del self._tallies[next(iter(self._tallies))]

    def of(self, guards: Sequence[Guarded], model: str) -> GuardTally | None:
        """Return the tally of a model in a table; None where it is not guarded there."""
        for each in guards:
            if each.model == model:
                return self._tallies.get((each.model, each.experiment))
        return None

    def told(self) -> list[dict[str, Any]]:
        """Return all tallies as JSON-like data; those in which nothing is counted are left out."""
        return [
            {"model": model, "experiment": experiment, **tally.to_json()}
            for (model, experiment), tally in list(self._tallies.items())
            if tally.trials or tally.calls
        ]
