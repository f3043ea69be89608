"""This module has what is left to the champion scored elsewhere: in as few calls as it can.

A call to another process costs the two many times what it costs to score a row. So a call takes
all that came until there was room for it, and few are under way at a time; what comes meanwhile
goes into the next one. A lane that is hardly asked calls at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.clock import current_clock
from serving._hop_errors import crowded
from serving._request_errors import RequestError
from serving.lane.arm import Rows, RowScorer
from serving.lane.cases import Case, Moments
from serving.lane.guard_counts import GuardTally
from serving.lane.guarded_scoring import count_scores
from serving.lane.table import LaneTable

Scored = Callable[[Sequence[Case], Sequence[float], Moments], None]
Failed = Callable[[Case, Exception], None]

_MOST_ROWS = 2_048
_MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """These are cases of one batch of the lane, with their rows as the model takes them."""

    cases: Sequence[Case]
    rows: Rows
    moments: Moments


class Far:
    """This asks a champion that is scored in other processes, for one routing table.

    Args:
        scorer: The champion.
        table: The table; a call may be under way for each process that it names.
        scored: Is called with cases that have scores; it must not raise.
        failed: Is called with each case that has none, and why.
        guard: Counts answers and failures; nobody by default.
    """

    def __init__(
        self,
        scorer: RowScorer,
        table: LaneTable,
        scored: Scored,
        failed: Failed,
        guard: GuardTally | None = None,
    ) -> None:
        self._scorer = scorer
        self._free = 1 if table.hop is None else table.hop.replicas
        self._scored, self._failed = scored, failed
        self._guard = guard
        self._now = current_clock().monotonic
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, cases: Sequence[Case], rows: Rows, moments: Moments) -> None:
        """Have cases scored and then told; too many of them are refused at once.

        Args:
            cases: The cases.
            rows: A row for each, in the order of the model's card.
            moments: When they began.
        """
        if self._rows + len(cases) > _MOST_WAITING:
            for case in cases:
                self._failed(case, crowded(self._scorer.ref, self._rows))
            return
        self._waiting.append(_Waiting(cases, rows, moments))
        self._rows += len(cases)
        self._call_next()

    def _call_next(self) -> None:
        while self._free and self._waiting:
            taken = [self._waiting.pop(0)]
            count = len(taken[0].cases)
            while self._waiting and count + len(self._waiting[0].cases) <= _MOST_ROWS:
                taken.append(self._waiting.pop(0))
                count += len(taken[-1].cases)
            self._rows -= count
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._called(taken))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free += 1
        self._call_next()

    async def _called(self, taken: Sequence[_Waiting]) -> None:
        cases = [case for each in taken for case in each.cases]
        rows = [row for each in taken for row in each.rows]
        await self._answered(cases, rows, taken[0].moments)

    async def _answered(self, cases: Sequence[Case], rows: Rows, moments: Moments) -> None:
        begun = self._now()
        try:
            scores = _checked(await self._scorer.score_rows(rows), len(rows))
        except RequestError as error:  # nobody could be asked: one by one they would fare no better
            if self._guard is not None:
                self._guard.failed()
            for case in cases:
                self._failed(case, error)
        except Exception as error:
            if len(cases) == 1:
                if self._guard is not None:
                    self._guard.failed()
                    self._guard.called(self._now() - begun)
                self._failed(cases[0], error)
                return
            # one bad row must not cost the others their answer
            middle = len(cases) // 2
            await self._answered(cases[:middle], rows[:middle], moments)
            await self._answered(cases[middle:], rows[middle:], moments)
        else:
            if self._guard is not None:
                count_scores(self._guard, scores, self._now() - begun)
            self._scored(cases, scores, moments)


def _checked(scores: Sequence[float], count: int) -> Sequence[float]:
    if len(scores) != count:
        raise ValueError(f"{len(scores)} scores for {count} rows")
    return scores
