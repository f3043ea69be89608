"""This module counts what a lane does; counting costs next to nothing, reading may cost more.

Everything is a plain number, counted on the replica's one event loop and never reset. What happened
lately is the difference to what was counted a while ago, which is kept once a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from serving.lane.events import Events
from serving.lane.guard_counts import GuardCounts
from serving.lane.histogram import FINE_EDGES, SIZE_EDGES, STEP_EDGES, Histogram
from serving.lane.window import Window

if TYPE_CHECKING:
    from serving.lane.exchange import Answer, Asked

_MOST_MODELS = 64
OTHER = "other"
"""What is counted together: paths that nobody answers, models beyond the first 64."""


class Tally:
    """This is how often a path was asked, by the status of the answer, and how long it took.

    Args:
        label: The path, with `{endpoint}` in the place of the name.
        is_timed: Whether it decides: then the duration of answers is counted.
    """

    __slots__ = ("label", "statuses", "took")

    def __init__(self, label: str, *, is_timed: bool = False) -> None:
        self.label = label
        self.statuses: dict[int, int] = {}
        self.took = Histogram(FINE_EDGES) if is_timed else None


class Meters:
    """These are the counts of one replica since it began, for its one event loop.

    Args:
        endpoint: Name of the endpoint.
        events: Where is told what is not ordinary; nowhere by default.
    """

    def __init__(self, endpoint: str, events: Events | None = None) -> None:
        clock = current_clock()
        self.endpoint = endpoint
        self.events = events or Events(endpoint, None)
        self.now = clock.monotonic
        self.began_us = clock.now_us()
        self.in_flight = 0
        self.refusals: Counter[str] = Counter()  # code of the refusal: how often
        self.answers: Counter[str] = Counter()  # model that answered: how many decisions
        self.fallbacks: Counter[tuple[str, str]] = Counter()  # challenger and why: decisions
        self.outcomes: Counter[str] = Counter()  # recorded, repeated, corrected, late
        self.breakers: dict[str, str] = {}  # challenger: state of its breaker
        self.guards = GuardCounts()
        self.repeats = 0
        self.is_tracing = False  # whether requests may have a trace
        self.batch_sizes = Histogram(SIZE_EDGES)
        self.steps = {name: Histogram(STEP_EDGES) for name in ("features", "score", "log")}
        self.tallies: dict[str, Tally] = {}
        self._other = Tally(OTHER)
        self.window = Window(self.now)

    def watch(self, paths: Mapping[str, bool]) -> None:
        """Count these paths each by itself; all others together.

        Args:
            paths: Each path, and whether it decides.
        """
        own = f"/v1/{self.endpoint}"
        for path, decides in paths.items():
            inner = path == own or path.startswith(f"{own}/")
            label = "/v1/{endpoint}" + path[len(own) :] if inner else path
            self.tallies.setdefault(path, Tally(label, is_timed=decides))
        # what is shown of the last minutes is what the lane is for, not who looks at it
        self.window.follow([each for each in self.tallies.values() if each.took is not None])

    def all_tallies(self) -> list[Tally]:
        """Return the counts of all paths, and of those that are none."""
        return [*self.tallies.values(), self._other]

    def ended(self, asked: Asked, answer: Answer) -> None:
        """Count a request that is answered now."""
        now = self.now()
        if now >= self.window.turns_at:
            self.window.turn(now)
            self.events.settle()
        status = answer.status
        tally = self.tallies.get(asked.path) or self._other
        statuses = tally.statuses
        statuses[status] = statuses.get(status, 0) + 1
        took = tally.took
        if took is not None and status == 200:
            seconds = now - asked.at
            took.total += seconds
            took.counts[bisect_left(FINE_EDGES, seconds)] += 1
            if seconds > self.events.slow_seconds:
                self.events.slow(asked, answer, seconds)

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self.refusals[code] += 1

    def answered(self, model: str, count: int = 1) -> None:
        """Count decisions that a model answered."""
        if model not in self.answers and len(self.answers) >= _MOST_MODELS:
            model = OTHER
        self.answers[model] += count

    def repeated(self) -> None:
        """Count a decision that was answered from the log, because its id was known."""
        self.repeats += 1

    def fell_back(
        self,
        challenger: str,
        why: str,
        *,
        id: str | None = None,  # noqa: A002 - the record's own word
        count: int = 1,
    ) -> None:
        """Count decisions that were a challenger's, and that the champion answered.

        Args:
            challenger: The model whose they were.
            why: "error", "timeout", "busy" or "out".
            id: Of the decision.
            count: How many.
        """
        if (challenger, why) not in self.fallbacks and len(self.fallbacks) >= _MOST_MODELS:
            challenger = OTHER
        self.fallbacks[challenger, why] += count
        if why != "out":  # that the breaker is open was told when it opened
            self.events.tell("fallback", model=challenger, id=id, why=why)

    def breaker_is(self, model: str, state: str, why: str = "") -> None:
        """Note the state of a challenger's breaker.

        Args:
            model: The challenger.
            state: "closed", "open" or "probing".
            why: Why it changed.
        """
        before = self.breakers.get(model)
        if before is None and len(self.breakers) >= _MOST_MODELS:
            return
        self.breakers[model] = state
        if state != (before or "closed"):
            self.events.tell("breaker", model=model, state=state, why=why or None)

    def only_breakers(self, models: Iterable[str]) -> None:
        """Forget the breakers of all other models; a new table has these challengers."""
        kept = set(models)
        self.breakers = {model: s for model, s in self.breakers.items() if model in kept}

    def batched(
        self,
        requests: Sequence[Any],
        records: Sequence[Mapping[str, Any]],
        *moments: float,
        size: int | None = None,
    ) -> None:
        """Count a batch of decisions that is logged now.

        Args:
            requests: The requests of it; those of which a trace is kept are told its moments.
            records: The record of each request.
            *moments: When it was begun, its rows were together (given, looked up and computed),
                scored, and in the log; in seconds as `now` gives them.
            size: How many decisions; those of `requests` by default.
        """
        begun, rows, scored, logged = moments
        self.batch_sizes.observe(len(requests) if size is None else size)
        steps = self.steps
        steps["features"].observe(rows - begun)
        steps["score"].observe(scored - rows)
        steps["log"].observe(logged - scored)
        if self.is_tracing:
            for request, record in zip(requests, records, strict=True):
                if request.trace is not None:
                    request.trace.decided(record, (begun, rows, scored, logged))

    def told(
        self, *, recorded: int = 0, repeated: int = 0, corrected: int = 0, late: int = 0
    ) -> None:
        """Count outcomes that were taken.

        Args:
            recorded: Told for the first time.
            repeated: Told before, with the same value.
            corrected: In the place of what was told before.
            late: Of these, after the time within which they count.
        """
        told = {"recorded": recorded, "repeated": repeated, "corrected": corrected, "late": late}
        for kind, count in told.items():
            if count:
                self.outcomes[kind] += count
