"""This module says which decisions and outcomes Thompson sampling learns from: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.lane.table import LaneTable
from serving.traffic import Bandit

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class Learning:
    """This is what is learned from, at one endpoint.

    Args:
        arms: The models that traffic is dealt to, the champion first.
        experiments: Ids of the comparisons of those that challenge.
        salt: The dealing's own.
        bandit: How shares follow outcomes.
    """

    arms: tuple[str, ...]
    experiments: frozenset[str]
    salt: str
    bandit: Bandit

    @classmethod
    def of(cls, table: LaneTable) -> Learning | None:
        """Return what is learned from by a table; None where shares do not follow outcomes."""
        if table.traffic is None or table.traffic.bandit is None:
            return None
        dealt = table.traffic.shares()
        rivals = [each for each in table.compared if each.model.ref in dealt]
        return cls(
            arms=(table.champion.ref, *(each.model.ref for each in rivals)),
            experiments=frozenset(each.experiment for each in rivals),
            salt=table.traffic.salt,
            bandit=table.traffic.bandit,
        )

    @property
    def window_us(self) -> int:
        """How old a decision has to be until its outcome counts, in microseconds."""
        return round(self.bandit.window_hours * _HOUR_US)

    def is_randomised(self, decision: Mapping[str, Any]) -> bool:
        """Return whether the model that answered was chosen by chance.

        It was not where another model could not have answered, and where the champion answered in
        the stead of a challenger that failed: such decisions are those on which it fails.
        """
        if decision.get("fallback") or decision["model"] not in self.arms:
            return False
        if sum(chance > 0 for chance in decision["propensities"]) < 2:
            return False
        own = {decision["experiment"], *decision.get("experiments", ())}
        return not self.experiments.isdisjoint(own)

    def is_reward(self, outcome: Mapping[str, Any]) -> bool:
        """Return whether an outcome is the one that is learned from."""
        return (outcome.get("name") or "") == self.bandit.outcome


@dataclass(frozen=True, kw_only=True)
class Told:
    """This is what was told once of a decision.

    Args:
        known: When it became known, in microseconds.
        logged: When it was logged, in microseconds.
        value: The outcome; None where it will never be known.
        corrects: Whether it replaces what was told before.
    """

    known: int
    logged: int
    value: float | None
    corrects: bool

    @classmethod
    def of(cls, outcome: Mapping[str, Any]) -> Told:
        """Return what an outcome record tells."""
        value = outcome["value"]
        return cls(
            known=outcome["known_at"],
            logged=outcome["logged"],
            value=None if value is None else float(value),
            corrects=bool(outcome.get("corrects")),
        )


def in_force(told: Iterable[Told], *, until: int | None = None) -> float | None:
    """Return the outcome of a decision, of all that was told of it in whichever order; or None.

    The correction that was logged last holds; without one what was known first, however often it
    was told.

    Args:
        told: What was told of it.
        until: The last moment whose knowledge counts, in microseconds; None counts all.
    """
    counts: Collection[Told] = [t for t in told if until is None or t.known <= until]
    corrections = [each for each in counts if each.corrects]
    if corrections:
        return max(corrections, key=lambda each: each.logged).value
    if not counts:
        return None
    return min(counts, key=lambda each: (each.known, each.logged)).value
