"""This module keeps the challengers that answer at a lane, from one table to the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from serving.lane.arm import Arm, Out, RowScorer
from serving.lane.table import LaneTable, Served

if TYPE_CHECKING:
    from serving.lane.meters import Meters

__all__ = ["Arm", "Arms", "Out", "RowScorer"]

_log = logging.getLogger("headrace.lane")


class Arms:
    """These are the challengers that answer at one lane, from one table to the next.

    A table with the same experiment goes on with what is known of its challenger, so that one that
    is out stays out. A model that is in memory is not loaded again.

    Args:
        on_out: Is called in the event loop, at once, when one is not asked any more.
    """

    def __init__(self, on_out: Callable[[Out], None] | None = None) -> None:
        self._on_out = on_out
        self._meters: Meters | None = None
        self._arms: dict[str, Arm] = {}  # by experiment
        self._scorers: dict[Served, RowScorer] = {}

    @property
    def out(self) -> tuple[Out, ...]:
        """Those that are out, of the experiments of the newest table."""
        return tuple(arm.out for arm in self._arms.values() if arm.out is not None)

    @property
    def is_busy(self) -> bool:
        """Whether one of them has not come back with something that it was asked."""
        return any(each.is_busy for each in self._scorers.values())

    async def take(
        self,
        table: LaneTable,
        start: Callable[[Served], RowScorer],
        *,
        meters: Meters | None = None,
        patience: float = 30.0,
    ) -> Mapping[str, Arm]:
        """Return the challengers with a share of the traffic, by their models.

        One that cannot score is out from the start: it must not keep the champion from answering.

        Args:
            table: The table.
            start: Starts what scores for a model that is not in memory.
            meters: Are told who is out.
            patience: Seconds for which the start of one is waited for.
        """
        traffic = table.traffic
        shares = {} if traffic is None else traffic.shares()
        compared = {each.experiment: each.model for each in table.compared}
        answering = {name: model for name, model in compared.items() if model.ref in shares}
        known = {name: arm for name, arm in self._arms.items() if name in compared}
        self._meters = meters
        if meters is not None:
            meters.guards.take(table.guards)
        new = {}
        for name, model in answering.items():
            if name not in known:
                if model not in self._scorers:
                    self._scorers[model] = start(model)
                new[name] = Arm(self._scorers[model], experiment=name, told=self._tell)
        self._arms = known | new
        await asyncio.gather(*(arm.begin(patience) for arm in new.values()))
        used = set(answering.values())
        # a model that hangs keeps its thread: it is remembered, and given no second one
        self._scorers = {m: s for m, s in self._scorers.items() if m in used or s.is_busy}
        found = {model.ref: self._arms[name] for name, model in answering.items()}
        if meters is not None:
            meters.only_breakers(found)
        for ref, arm in found.items():
            arm.guard = None if meters is None else meters.guards.of(table.guards, ref)
            arm.patience = traffic.patience_ms / 1000 if traffic is not None else patience
            if meters is not None:
                meters.breaker_is(ref, "closed" if arm.out is None else "open")
        return found

    def close(self) -> None:
        """Forget them; their threads end, and one that hangs is not waited for."""
        for arm in self._arms.values():
            arm.close()
        self._arms, self._scorers = {}, {}

    def _tell(self, out: Out) -> None:
        _log.warning("%s is not asked any more: %s", out.model, out.reason)
        try:
            if self._meters is not None:
                self._meters.breaker_is(out.model, "open", out.reason)
            if self._on_out is not None:
                self._on_out(out)
        except Exception:  # whoever is told must not cost an answer
            _log.exception("That %s is out could not be told", out.model)
