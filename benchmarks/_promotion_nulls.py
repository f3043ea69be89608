"""This module draws comparisons in which the challenger is no better than its champion.

What is asked of them is taken from real days of flights, or worse: `_promotion_flights.facts_of`
measures how much of a request's luck is its day's, how alike days are that follow each other, and
how much worse bad days are than good ones are good.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks._promotion_days import Days, Requests, Vector, days_of
from benchmarks._promotion_flights import Pair
from serving._blocks import advantage
from serving.evidence import Block
from serving.rule import Rule

DAYS, MIN_BLOCKS, ALPHA = 120, 20, 0.05
NAIVE_Z = 1.645
# of how many runs the blocks are kept, to be ruled on as a whole
KEPT = 10
LOSSES = Rule(
    name="promotion",
    metric="mae",
    label_window_hours=48,
    alpha=ALPHA,
    min_decisions=1,
    tries="each",
)
PROBABILITIES = LOSSES.model_copy(update={"metric": "brier", "label_window_hours": 504.0})

_RUNS_AT_ONCE = 50
A_DAY = 60
# so much of a request's deviation is its day's luck: a design effect of 68 at 950 flights a day
_LUCK = 0.27
# days in a row: 0.32 is the most that was measured
_ALIKE = 0.35
# of a lognormal with this deviation the skewness is 2; 1.4 is the most that was measured
_WORSE = 0.551
_BASE = 10.0

Random = np.random.Generator
Draw = Callable[[Random, int], Days]


@dataclass(frozen=True, kw_only=True)
class Null:
    """This is a way in which a challenger that is no better could look so.

    Args:
        name: What the benchmark's row is called.
        rule: What it is judged by.
        draw: Returns the days of so many runs.
    """

    name: str
    rule: Rule
    draw: Draw


def nulls(pair: Pair) -> list[Null]:
    """Return all nulls that are drawn request by request or day by day.

    Args:
        pair: Real days of two models, for those that resample them.
    """
    return [
        Null(name="iid", rule=LOSSES, draw=independent(pair)),
        Null(name="day_clustered", rule=LOSSES, draw=clustered(pair)),
        Null(name="autocorrelated_days", rule=LOSSES, draw=by_luck(alike_days)),
        Null(name="weekly_seasonality", rule=LOSSES, draw=by_luck(_with_weekdays)),
        Null(name="heavy_tailed", rule=LOSSES, draw=by_luck(_with_disasters, noise=_heavy)),
        Null(name="drifting_base_rate", rule=PROBABILITIES, draw=_drifting),
    ]


def independent(pair: Pair, *, better: float = 0.0) -> Draw:
    """Return what draws requests one by one from real ones.

    Args:
        pair: Real losses.
        better: How much smaller the challenger's are.
    """
    ours, theirs = pair.losses

    def requests(random: Random, runs: int) -> Requests:
        chosen = random.integers(0, ours.size, size=(runs, DAYS, A_DAY))
        return _of_losses(ours[chosen], theirs[chosen] - better)

    return _in_parts(requests, LOSSES)


def clustered(pair: Pair, *, better: float = 0.0, in_a_row: int = 1) -> Draw:
    """Return what draws whole days from real ones.

    Args:
        pair: Real days.
        better: How much smaller the challenger's loss is, of each request.
        in_a_row: How many days are drawn together, as they followed each other.
    """
    days, size = pair.days, pair.days.values.size
    real = [_better(block, better) for block in days.blocks[0]]

    def draw(random: Random, runs: int) -> Days:
        first = random.integers(0, size, size=(runs, -(-DAYS // in_a_row), 1))
        chosen = ((first + np.arange(in_a_row)) % size).reshape(runs, -1)[:, :DAYS]
        counts, sums = days.counts[0][chosen], days.sums[0][chosen]
        return Days(
            values=days.values[0][chosen] + better,
            counts=counts,
            sums=sums + better * counts,
            squares=days.squares[0][chosen] + 2 * better * sums + better**2 * counts,
            blocks=tuple(tuple(real[d] for d in run) for run in chosen[:KEPT]),
        )

    return draw


def by_luck(
    luck: Callable[[Random, int], Vector], noise: Callable[..., Vector] | None = None
) -> Draw:
    """Return what draws requests around the luck of their days.

    Args:
        luck: Returns it, `(runs, days)`, in standard deviations.
        noise: Returns that of requests, as `Generator.normal` does by default.
    """

    def requests(random: Random, runs: int) -> Requests:
        size = (runs, DAYS, A_DAY)
        own = random.normal(size=size) if noise is None else noise(random, size)
        shared = _LUCK * luck(random, runs)[..., None]
        # what is taken off is the luck: no loss may be below 0
        lift = _BASE + float(np.abs(own).max() + np.abs(shared).max())
        return _of_losses(np.full(size, lift), lift - own - shared)

    return _in_parts(requests, LOSSES)


def alike_days(random: Random, runs: int, *, alike: float = _ALIKE, days: int = DAYS) -> Vector:
    """Return luck of which every day has a part of the day before (an autoregression)."""
    luck = random.normal(size=(runs, days))
    for day in range(1, days):
        luck[:, day] = alike * luck[:, day - 1] + math.sqrt(1 - alike**2) * luck[:, day]
    return luck


def _with_weekdays(random: Random, runs: int) -> Vector:
    """Return luck of which the weekday is one half: weekends are another business."""
    week = np.array([0.4, 0.4, 0.4, 0.4, 0.4, -1.0, -1.0])
    week = (week - week.mean()) / week.std()
    first = random.integers(0, 7, size=(runs, 1))
    by_day: Vector = week[(first + np.arange(DAYS)) % 7]
    return by_day + random.normal(size=(runs, DAYS))


def _with_disasters(random: Random, runs: int) -> Vector:
    """Return luck whose bad days are rare and far worse than any good one."""
    bad = random.lognormal(sigma=_WORSE, size=(runs, DAYS))
    mean = math.exp(_WORSE**2 / 2)
    spread = mean * math.sqrt(math.exp(_WORSE**2) - 1)
    luck: Vector = (mean - bad) / spread
    return luck


def _heavy(random: Random, size: tuple[int, ...]) -> Vector:
    """Return Student's t with three degrees of freedom, which has no fourth moment, at spread 1."""
    return random.standard_t(3, size=size) / math.sqrt(3)


def _drifting(random: Random, runs: int) -> Days:
    """Return days over which the base rate goes from a tenth to almost a half, or back.

    The models are drawn alike: each has errors of its own, of a day and of a request. What changes
    is how much those weigh.
    """

    def requests(random: Random, runs: int) -> Requests:
        size = (runs, DAYS, A_DAY)
        path = np.linspace(math.log(0.1 / 0.9), math.log(0.45 / 0.55), DAYS)
        backward = random.random((runs, 1)) < 0.5
        logit = np.where(backward, path[::-1], path) + 0.4 * alike_days(random, runs, alike=0.43)
        happened = random.random(size) < 1 / (1 + np.exp(-logit[..., None]))
        sign = np.where(happened, 1.0, -1.0) + random.normal(size=size)

        def score() -> Vector:
            error = 0.5 * random.normal(size=(runs, DAYS, 1)) + 0.5 * random.normal(size=size)
            said: Vector = 1 / (1 + np.exp(1.0 - sign - error))
            return said

        return Requests(
            champion=score(),
            challenger=score(),
            outcome=happened.astype(np.float64),
            known=np.ones(size, dtype=bool),
        )

    return _in_parts(requests, PROBABILITIES)(random, runs)


def _better(block: Block, better: float) -> Block:
    """Return a block of a challenger whose loss is smaller by so much."""
    if block.challenger_loss is None:
        return block
    loss = block.challenger_loss - better
    return replace(block, challenger_loss=loss, z=advantage(block.champion_loss, loss, LOSSES))


def _in_parts(requests: Callable[[Random, int], Requests], rule: Rule) -> Draw:
    def draw(random: Random, runs: int) -> Days:
        parts = [min(_RUNS_AT_ONCE, runs - at) for at in range(0, runs, _RUNS_AT_ONCE)]
        return Days.joined(
            [days_of(requests(random, part), rule, keep=KEPT) for part in parts], KEPT
        )

    return draw


def _of_losses(ours: Vector, theirs: Vector) -> Requests:
    return Requests(
        champion=ours,
        challenger=theirs,
        outcome=np.zeros(ours.shape),
        known=np.ones(ours.shape, dtype=bool),
    )
