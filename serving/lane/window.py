"""This module keeps what was counted at the end of each second, so that five minutes can be shown.

Nothing is counted twice for it: a second is the difference of two sums.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from serving.lane.histogram import Histogram

SECONDS = 300
_TOOK_SECONDS = 10  # durations are many numbers, so they are kept this often


_Took = dict[str, tuple[int, ...]]  # label of a path: its buckets


class Counted(Protocol):
    """This is what is counted of one path."""

    @property
    def label(self) -> str:
        """The path."""
        ...

    @property
    def statuses(self) -> dict[int, int]:
        """How often, by status."""
        ...

    @property
    def took(self) -> Histogram | None:
        """How long answers took, where that is counted."""
        ...


@dataclass(frozen=True, slots=True)
class _Sums:
    """These are the sums at the end of a second.

    Args:
        second: The second, from the origin of the clock.
        answered: Requests that were answered with less than 400.
        refused: With 4xx.
        failed: With 5xx.
    """

    second: int
    answered: int = 0
    refused: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Recent:
    """This is what happened in the last minutes, second by second.

    Args:
        answered: Requests of each second that were answered with less than 400, the oldest first.
        refused: With 4xx.
        failed: With 5xx.
        took: Label of a path to how many answers fell into each bucket of durations.
    """

    answered: list[int]
    refused: list[int]
    failed: list[int]
    took: dict[str, list[int]]


class Window:
    """This remembers sums, a second each, for as long as they are shown.

    Args:
        now: Gives monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._tallies: Sequence[Counted] = ()
        self._second = int(now())
        self._begins = _Sums(self._second - 1)  # what was counted before all that is kept
        self._kept: deque[_Sums] = deque()
        self._took_begins: _Took = {}
        self._took_kept: deque[tuple[int, _Took]] = deque()
        self.turns_at = float(self._second + 1)

    def follow(self, tallies: Sequence[Counted]) -> None:
        """Keep the sums of these counts from now on."""
        self._tallies = tallies
        self._begins = self._sums()
        self._kept.clear()
        self._took_begins = self._took()
        self._took_kept.clear()

    def turn(self, now: float) -> None:
        """Keep the sums of the second that is over; nothing was counted since it ended."""
        self._kept.append(self._sums())
        last = self._took_kept[-1][0] if self._took_kept else 0
        if self._second >= last + _TOOK_SECONDS:
            self._took_kept.append((self._second, self._took()))
        self._second = int(now)
        self.turns_at = float(self._second + 1)
        oldest = self._second - SECONDS + 1
        while self._kept and self._kept[0].second < oldest:
            self._begins = self._kept.popleft()
        while self._took_kept and self._took_kept[0][0] < oldest:
            _, self._took_begins = self._took_kept.popleft()

    def recent(self) -> Recent:
        """Return what happened in the last minutes, the present second included."""
        now = self._now()
        if now >= self.turns_at:
            self.turn(now)
        first = self._second - SECONDS + 1
        answered, refused, failed = [0] * SECONDS, [0] * SECONDS, [0] * SECONDS
        before = self._begins
        for sums in (*self._kept, self._sums()):
            place = sums.second - first
            answered[place] = sums.answered - before.answered
            refused[place] = sums.refused - before.refused
            failed[place] = sums.failed - before.failed
            before = sums
        took = {
            label: [b - a for a, b in zip(self._took_begins[label], counts, strict=True)]
            for label, counts in self._took().items()
        }
        return Recent(answered=answered, refused=refused, failed=failed, took=took)

    def _sums(self) -> _Sums:
        answered = refused = failed = 0
        for tally in self._tallies:
            for status, count in tally.statuses.items():
                if status < 400:
                    answered += count
                elif status < 500:
                    refused += count
                else:
                    failed += count
        return _Sums(self._second, answered, refused, failed)

    def _took(self) -> _Took:
        return {each.label: tuple(each.took.counts) for each in self._tallies if each.took}
