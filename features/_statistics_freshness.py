"""This module says how fresh a view is: its newest known row against the target of its owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """This is how fresh a view is.

    Args:
        state: "fresh", "stale", "no target" where nobody promises anything, or "no rows" where
            nothing is published.
        newest_known: When its newest row became known; None without rows.
        age: How long that is ago, by the kernel's clock.
        target: How old it may become, as the owner promises.
    """

    state: Literal["fresh", "stale", "no target", "no rows"]
    newest_known: datetime | None = None
    age: timedelta | None = None
    target: timedelta | None = None

    @property
    def late_by(self) -> timedelta | None:
        """By how much it misses its target; None where it does not."""
        if self.state != "stale" or self.age is None or self.target is None:
            return None
        return self.age - self.target

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data, durations in seconds."""
        return {
            "state": self.state,
            "newest_known": None if self.newest_known is None else self.newest_known.isoformat(),
            "age_seconds": _seconds(self.age),
            "target_seconds": _seconds(self.target),
            "late_by_seconds": _seconds(self.late_by),
        }


def freshness_of(newest_known: datetime | None, target: timedelta | None) -> Freshness:
    """Return how fresh rows are at this moment, as the kernel's clock has it.

    Args:
        newest_known: When the newest of them became known, aware; None without rows.
        target: How old that may become; None without a target.
    """
    from headrace.clock import current_clock

    if newest_known is None:
        return Freshness(state="no rows", target=target)
    age = current_clock().now() - newest_known
    if target is None:
        return Freshness(state="no target", newest_known=newest_known, age=age)
    state: Literal["fresh", "stale"] = "fresh" if age <= target else "stale"
    return Freshness(state=state, newest_known=newest_known, age=age, target=target)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
