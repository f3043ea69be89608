"""This module lets many models answer at once, and judges each as the serving host does.

All of them are looked at after the same answers, so that the beginnings of their evidence are the
same too, and lives differ in nothing but which answers fail. An average of likelihood ratios is
above a bound only where one of them is: that is looked up, for all lives at once, and who passes
is judged by the rule's own checks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serving._sequences import log_e_of_errors
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.guardrails import guardrail_checks
from serving.rollout.live_counts import Counts, grown, live_figures
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate, Latency

Numbers: TypeAlias = npt.NDArray[np.int64]

_FIRST, _FIRST_EVERY, _LAST, _EVERY = 10_000, 10, 110_000, 200
_CHUNK = 2_000
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_STATE = RolloutState(
    endpoint="bench",
    generation=2,
    champion="bench/2",
    challenger="bench/1",
    experiment="bench",
    stage="watch",
    share=0.0,
    design=None,
    began=_MOMENT,
    since=_MOMENT,
)


@dataclass(frozen=True, kw_only=True)
class Lives:
    """This is what became of many models that answered all along.

    Args:
        rolled_back: After how many answers each was; -1 for never.
        naive: Whether each would have been by a window of 100 with more than twice the limit.
    """

    rolled_back: Numbers
    naive: npt.NDArray[np.bool_]


def looks() -> Numbers:
    """Return after how many answers one looks: often with little traffic, then less so."""
    often = np.arange(_FIRST_EVERY, _FIRST + 1, _FIRST_EVERY)
    return np.concatenate([often, np.arange(_FIRST + _EVERY, _LAST + 1, _EVERY)])


def lived(guardrail: ErrorRate | Latency, rate: float, *, lives: int, seed: int) -> Lives:
    """Let models live whose answers fail, or are slow, at random at a rate.

    Args:
        guardrail: By which they are judged.
        rate: The true rate.
        lives: How many.
        seed: Of chance.
    """
    random = np.random.default_rng(seed)
    schedule = _Schedule(guardrail)
    parts = [
        _chunk(schedule, rate, min(_CHUNK, lives - begin), random)
        for begin in range(0, lives, _CHUNK)
    ]
    return Lives(
        rolled_back=np.concatenate([part.rolled_back for part in parts]),
        naive=np.concatenate([part.naive for part in parts]),
    )


class _Schedule:
    """This is what is the same for all lives: when one looks, and where evidence begins.

    Args:
        guardrail: By which they are judged.
    """

    def __init__(self, guardrail: ErrorRate | Latency) -> None:
        self.guardrail = guardrail
        self.limit = _limit(guardrail)
        self.rule = Rule(name="bench", metric="mae", label_window_hours=1, guardrails=(guardrail,))
        self.at = looks()
        place = {int(answers): look for look, answers in enumerate(self.at)}
        counts: Counts | None = None
        self.begins: list[list[tuple[int, int]]] = []  # of each look: number and look of each
        for answers in self.at:
            counts = grown(counts, _told(int(answers), 0), part="answers", writer="w")
            begins = [(each["number"], place[each["trials"]]) for each in counts["begins"]]
            self.begins.append(begins)
        needed = -math.log(guardrail.alpha)
        self._fewest = {
            trials: self._fewest_of(trials, needed) for trials in sorted(self._all_trials())
        }

    def fewest(self, trials: int) -> int:
        """Return how many failures of so many trials are enough in a part of the evidence."""
        return self._fewest[trials]

    def breaks(self, look: int, failures: Numbers) -> bool:
        """Return what the rule's checks say of a life at a look.

        Args:
            look: Which one.
            failures: Of this life, up to each look.
        """
        trials, failed = int(self.at[look]), int(failures[look])
        begins = [
            {"number": number, **_told(int(self.at[place]), int(failures[place]))}
            for number, place in self.begins[look]
        ]
        counts = {"answers": _told(trials, failed), "begins": begins}
        figures = Figures(metric=self.guardrail.metric, counts=live_figures(self.guardrail, counts))
        gathered = Gathered(as_of=_MOMENT, scope="live", primary=None, figures=(figures,))
        checks = guardrail_checks(self.rule, gathered, _STATE)
        return any(check.action == "rollback" for check in checks)

    def _all_trials(self) -> set[int]:
        whole = {int(each) for each in self.at}
        return whole | {
            int(self.at[look] - self.at[place])
            for look, begins in enumerate(self.begins)
            for _, place in begins
        }

    def _fewest_of(self, trials: int, needed: float) -> int:
        low, high = 0, trials + 1
        while low < high:
            middle = (low + high) // 2
            if log_e_of_errors(middle, max(trials, middle), self.limit) >= needed:
                high = middle
            else:
                low = middle + 1
        return low


def _chunk(schedule: _Schedule, rate: float, lives: int, random: np.random.Generator) -> Lives:
    """Let some models live together, which is what fits into memory."""
    failed_at = _failures(rate, lives, int(schedule.at[-1]), random)
    look_of = np.searchsorted(schedule.at, failed_at)  # the first look that sees each failure
    size = schedule.at.size
    seen = np.zeros((lives, size + 1), dtype=np.int64)
    np.add.at(seen, (np.arange(lives)[:, None], np.minimum(look_of, size)), 1)
    failures = np.cumsum(seen[:, :size], axis=1)
    rolled_back = np.full(lives, -1, dtype=np.int64)
    for look, life in _suspects(schedule, failures):
        if rolled_back[life] < 0 and schedule.breaks(look, failures[life]):
            rolled_back[life] = schedule.at[look]
    most = int(2 * schedule.limit * 100)  # more than so many of 100 are too many
    close = failed_at[:, most:] - failed_at[:, : failed_at.shape[1] - most] < 100
    within = failed_at[:, most:] <= schedule.at[-1]
    return Lives(rolled_back=rolled_back, naive=(close & within).any(axis=1))


def _suspects(schedule: _Schedule, failures: Numbers) -> Iterator[tuple[int, int]]:
    """Yield each look and life where a part of the evidence alone passes the bound."""
    for look, answers in enumerate(schedule.at):
        now = failures[:, look]
        found = now >= schedule.fewest(int(answers))
        for _, place in schedule.begins[look]:
            trials = int(answers - schedule.at[place])
            if trials:
                found |= now - failures[:, place] >= schedule.fewest(trials)
        for life in np.flatnonzero(found):
            yield look, int(life)


def _failures(rate: float, lives: int, last: int, random: np.random.Generator) -> Numbers:
    """Return which answers of each life fail, beyond its last one too; (n_lives, n_failures)."""
    expected = rate * last
    count = int(expected + 8 * math.sqrt(expected) + 20)
    return np.cumsum(random.geometric(rate, (lives, count)), axis=1, dtype=np.int64)


def _told(trials: int, failures: int) -> dict[str, Any]:
    """Return what is counted of so many answers, each in a call of its own."""
    slow = {"20": failures}
    return {"trials": trials, "failures": failures, "calls": trials, "slow": slow}


def _limit(guardrail: ErrorRate | Latency) -> float:
    return guardrail.max if isinstance(guardrail, ErrorRate) else round(1 - guardrail.quantile, 12)
