"""This module asks a challenger that answers: beside the event loop, for a while, at a cap.

A challenger can fail, be slow or hang; whoever asks it is told so in time, and has the champion
answer. What is held against it is counted, and at a limit it is not asked any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, Protocol

from headrace.clock import current_clock
from serving.lane.breaker import Breaker
from serving.lane.guard_counts import GuardTally

Fallback = Literal["error", "timeout", "busy", "out"]
"""Why the champion answered what was a challenger's: it failed, it came too late, it had as many
requests as it may have at once, or it is not asked any more."""

Rows = Sequence[Sequence[Any]]
Then = Callable[[list[float | None], Fallback], None]
"""Is told the scores, None where there is none, and for what reason there is none."""

_TURNS_FOR_WHAT_HAS_COME = 3
_LONGEST_REASON = 300
_log = logging.getLogger("headrace.lane")


class RowScorer(Protocol):
    """This scores rows elsewhere than in the event loop: in a thread, or another process.

    Args:
        ref: Which version it is, "name/3".
    """

    ref: str

    @property
    def is_busy(self) -> bool:
        """Whether something that it was asked has not come back."""
        ...

    async def ready(self) -> None:
        """Wait until it can score and nothing is under way; raises why it cannot."""
        ...

    async def score_rows(self, rows: Rows) -> list[float]:
        """Return one score a row of raw values, in the order of the model's card."""
        ...


@dataclass(frozen=True, kw_only=True)
class Out:
    """This is a challenger that is not asked any more.

    Args:
        model: The challenger, as "name/3".
        experiment: The comparison in which it is out; in another one it begins anew.
        reason: What it did, for people.
    """

    model: str
    experiment: str
    reason: str


@dataclass(eq=False, slots=True)
class _Ask:
    """These are rows that were asked for together, and are waited for until the same moment."""

    rows: Rows
    then: Then
    as_one: bool
    timer: asyncio.TimerHandle | None = None  # None once it was answered

    @property
    def count(self) -> int:
        return 1 if self.as_one else len(self.rows)


class Arm:
    """This is a challenger that answers, in one comparison, from one table to the next.

    Args:
        scorer: What scores for it.
        experiment: The comparison.
        told: Is called at once when it is out.
    """

    def __init__(self, scorer: RowScorer, *, experiment: str, told: Callable[[Out], None]) -> None:
        self.ref = scorer.ref
        self.experiment = experiment
        self.patience = 0.05
        """Seconds for which an answer is waited for."""
        self.guard: GuardTally | None = None
        """Counts its answers for guardrails, where the table asks for it."""
        self.breaker = Breaker()
        self.out: Out | None = None
        self.asked = 0
        """Requests that it was given so far."""
        self._scorer = scorer
        self._told = told
        self._now = current_clock().monotonic
        self._waiting: list[_Ask] = []
        self._call: list[_Ask] = []
        self._task: asyncio.Task[None] | None = None
        self._overdue: asyncio.TimerHandle | None = None  # while a call is late
        self._charged = 0  # how often the lateness of a call was held against it
        self._in_flight = 0

    async def begin(self, patience: float) -> None:
        """Wait until it can score; out from the start is one that cannot.

        Args:
            patience: Seconds for which it is waited for; for one that is busy, at most one.
        """
        within = min(patience, 1.0) if self._scorer.is_busy else patience
        try:
            await asyncio.wait_for(self._scorer.ready(), within)
        except TimeoutError:
            self.leave(f"it could not be asked within {within:g} s")
        except Exception as error:
            self.leave(f"it cannot be loaded: {type(error).__name__}: {error}")

    def refuses(self, beside: int = 0) -> Fallback | None:
        """Say why it is not to be asked now; None when it may be.

        Args:
            beside: Requests that it is about to be given anyway.
        """
        if self.out is not None:
            return "out"
        if self._overdue is not None or self._in_flight + beside >= self.breaker.in_flight:
            return "busy"
        return None

    def ask(self, rows: Rows, then: Then, *, as_one: bool = False) -> None:
        """Ask for the scores of rows.

        Args:
            rows: Values in the order of its card.
            then: Is called, in the event loop, as soon as they are there or no longer waited for.
            as_one: The rows are one request, and scored whole or not at all; else each is one.
        """
        ask = _Ask(rows, then, as_one)
        self._in_flight += ask.count
        self.asked += ask.count
        loop = asyncio.get_running_loop()
        ask.timer = loop.call_later(self.patience, self._ran_out, ask, _TURNS_FOR_WHAT_HAS_COME)
        self._waiting.append(ask)
        self._call_next()

    async def asked_as_one(self, rows: Rows) -> tuple[list[float | None], Fallback]:
        """Return the scores of rows that are one request, and why there are none if there are."""
        told: asyncio.Future[tuple[list[float | None], Fallback]]
        told = asyncio.get_running_loop().create_future()

        def tell(scores: list[float | None], why: Fallback) -> None:
            if not told.done():
                told.set_result((scores, why))

        self.ask(rows, tell, as_one=True)
        return await told

    def leave(self, reason: str) -> None:
        """Do not ask it any more, for a reason; what waits for it is told so."""
        if self.out is not None:
            return
        self.out = Out(model=self.ref, experiment=self.experiment, reason=reason)
        waiting, self._waiting = self._waiting, []
        self._told(self.out)
        for ask in waiting:
            self._answer(ask, [None] * len(ask.rows), "out")
            self._in_flight -= ask.count

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._task is not None:
            self._task.cancel()
        for timer in (self._overdue, *(ask.timer for ask in (*self._call, *self._waiting))):
            if timer is not None:
                timer.cancel()

    def _call_next(self) -> None:
        """Give it all that waits in one call, when it has none."""
        if self._call or not self._waiting:
            return
        alone = next((n for n, ask in enumerate(self._waiting) if ask.as_one), len(self._waiting))
        taken = max(alone, 1)
        self._call, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._task = asyncio.get_running_loop().create_task(self._called(self._call))

    async def _called(self, call: list[_Ask]) -> None:
        rows = call[0].rows if len(call) == 1 else [row for ask in call for row in ask.rows]
        begun = self._now()
        found = await self._scored(rows, alone=call[0].as_one)
        if self.guard is not None:
            self.guard.called(self._now() - begun)
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        charged, self._charged = self._charged, 0
        self._call = []
        self._in_flight -= sum(ask.count for ask in call)
        self._call_next()  # before what has come is looked at: the two take their time together
        begin = 0
        for ask in call:
            charged = self._came(ask, found[begin : begin + len(ask.rows)], charged)
            begin += len(ask.rows)

    def _came(self, ask: _Ask, found: Sequence[float | Exception], charged: int) -> int:
        """Answer what was asked, and hold failures against it, but those charged already.

        Args:
            ask: What was asked; it may have been answered as late.
            found: A score a row, or why there is none.
            charged: How many failures the call was charged with for its lateness.

        Returns:
            How many of these are left.
        """
        errors = [each for each in found if isinstance(each, Exception)]
        if ask.as_one:
            found = [errors[0]] * len(found) if errors else found
            errors = errors[:1]
        if ask.timer is not None:
            self.breaker.succeeded(ask.count - len(errors))
            if self.guard is not None:
                self.guard.came(ask.count - len(errors))
        self._answer(ask, [None if isinstance(s, Exception) else s for s in found], "error")
        for error in errors[charged:]:
            if self.guard is not None:
                self.guard.failed()
            self._failed(f"{type(error).__name__}: {error}"[:_LONGEST_REASON])
        return max(0, charged - len(errors))

    async def _scored(self, rows: Rows, *, alone: bool) -> list[float | Exception]:
        """Return a score a row, or why there is none."""
        try:
            scores = await self._scorer.score_rows(rows)
        except Exception as error:
            if alone or len(rows) == 1:
                return [error] * len(rows)
            # one bad row must not cost the others their score
            return [(await self._scored([row], alone=True))[0] for row in rows]
        if len(scores) != len(rows):
            return [ValueError(f"{len(scores)} scores for {len(rows)} rows")] * len(rows)
        return [s if isfinite(s) else ValueError(f"the score is {s}") for s in scores]

    def _ran_out(self, ask: _Ask, turns: int) -> None:
        """Give up on what was asked; a loop that was held up itself first sees what has come."""
        if ask.timer is None:
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._ran_out, ask, turns - 1)
            return
        self._answer(ask, [None] * len(ask.rows), "timeout")
        if ask in self._waiting:
            self._waiting.remove(ask)
            self._in_flight -= ask.count
        elif self._overdue is None:
            self._is_late(self.patience)

    def _is_late(self, waited: float) -> None:
        """Hold it against the model that a call is late, anew whenever the delay has doubled.

        A call is one failure, however many requests it has: they share their fate. One that does
        not come back at all is enough to be out.
        """
        if self.guard is not None and not self._charged:
            self.guard.failed()
        self._charged += 1
        self._failed(f"no answer within {waited * 1000:g} ms")
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(waited, self._is_late, 2 * waited)

    def _failed(self, why: str) -> None:
        self.breaker.failed()
        if self.breaker.is_out:
            counts = f"{self.breaker.failures:,} failed and {self.breaker.successes:,} did not"
            self.leave(f"of its answers {counts}; the last: {why}")

    @staticmethod
    def _answer(ask: _Ask, scores: list[float | None], why: Fallback) -> None:
        if ask.timer is not None:
            ask.timer.cancel()
            ask.timer = None
            try:
                ask.then(scores, why)
            except Exception:  # others are waiting for theirs
                _log.exception("An answer of a challenger could not be passed on")
