"""This module draws decisions whose outcomes come late, and how late depends on what they are.

Both models have the same Brier score. The challenger is the better one on what happens, which is
known within a day; the champion on what does not happen, which is known after some three weeks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks._promotion_days import Days, Flags, Requests, Vector, days_of
from benchmarks._promotion_nulls import (
    ALPHA,
    DAYS,
    KEPT,
    MIN_BLOCKS,
    NAIVE_Z,
    PROBABILITIES,
    Random,
)
from serving._comparison import PLANNED
from serving._sequences import block_sequence

_A_DAY, _RUNS_AT_ONCE = 60, 50
# at this rate both have the same Brier score: 0.4 rate = 0.2**2 - 0.4**2 in amount
_RATE, _CHAMPION, _CHALLENGER, _NOISE = 0.3, 0.2, 0.4, 0.15
_SOON, _LATE = (0.0, 1.0), (17.0, 20.9)
_LOOK_EVERY = 5


@dataclass(frozen=True, kw_only=True)
class Landing:
    """These are days, and what was known of them at each look.

    Args:
        mature: The days, with all outcomes within the label window.
        naive: Whether each look on what had landed finds z > 1.645 over requests, `(runs, looks)`.
        blocks: Whether it finds proof over days, by the test of the first verdicts.
    """

    mature: Days
    naive: Flags
    blocks: Flags


def delayed(random: Random, runs: int) -> Landing:
    """Return the days of so many runs, and what labels as they land make of them."""
    mature, landed = [], []
    for at in range(0, runs, _RUNS_AT_ONCE):
        requests, delay = _requests(random, min(_RUNS_AT_ONCE, runs - at))
        mature.append(days_of(requests, PROBABILITIES, keep=KEPT))
        landed.append(_as_they_land(requests, delay))
    naive, blocks = (np.concatenate(each) for each in zip(*landed, strict=True))
    return Landing(mature=Days.joined(mature, KEPT), naive=naive, blocks=blocks)


def _requests(random: Random, runs: int) -> tuple[Requests, Vector]:
    """Return requests, and after how many days each outcome is known."""
    size = (runs, DAYS, _A_DAY)
    rate = random.beta(100 * _RATE, 100 * (1 - _RATE), size=(runs, DAYS, 1))
    happened = random.random(size) < rate
    delay = np.where(happened, random.uniform(*_SOON, size=size), random.uniform(*_LATE, size=size))
    champion, challenger = (
        middle + random.uniform(-_NOISE, _NOISE, size=size) for middle in (_CHAMPION, _CHALLENGER)
    )
    requests = Requests(
        champion=champion,
        challenger=challenger,
        outcome=happened.astype(np.float64),
        known=delay * 24 <= PROBABILITIES.label_window_hours,
    )
    return requests, delay


def _as_they_land(requests: Requests, delay: Vector) -> tuple[Flags, Flags]:
    """Return what each look finds on what is known then: over requests, and over days."""
    landed_on = np.arange(DAYS)[:, None] + delay
    each = (requests.outcome - requests.champion) ** 2
    each -= (requests.outcome - requests.challenger) ** 2
    naive, blocks = [], []
    for today in range(MIN_BLOCKS, DAYS + 1, _LOOK_EVERY):
        there = landed_on[:, :today] <= today
        seen = np.where(there, each[:, :today], 0.0)
        counts = there.sum(axis=-1)
        n, mean = counts.sum(axis=-1), seen.sum(axis=(1, 2)) / counts.sum(axis=-1)
        spread = np.sqrt((seen**2).sum(axis=(1, 2)) / n - mean**2)
        naive.append(mean / spread * np.sqrt(n) > NAIVE_Z)
        values = seen.sum(axis=-1) / np.maximum(counts, 1)
        known = block_sequence(values, alpha=ALPHA, planned=PLANNED * MIN_BLOCKS)
        blocks.append(known.log_e[:, -1] >= -np.log(ALPHA))
    return np.stack(naive, axis=1), np.stack(blocks, axis=1)
