"""This module times runtimes against each other, and says which is the faster from where on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from headrace.clock import SystemClock
from operators._encoding import Matrix, Vector
from operators._runtime_choice import Runtime

Scores: TypeAlias = Callable[[Matrix], Vector]
Times: TypeAlias = Mapping[int, float]

SIZES = (1, 16, 100, 1000)
# A lane mostly answers one request at a time, and under load the few that arrive together.
SMALL = {1: 2 / 3, 16: 1 / 3}
LARGE = {100: 1 / 2, 1000: 1 / 2}
# Measured times differ by a tenth by chance; the model's own library wins what is no clear gain.
_CLEARLY = 0.9
_TURNS = 100
_FEWEST_TURNS = 3
# The first call of a turn finds the caches full of the other's model; a lane has one model.
_CALLS_A_TURN = 5
_SECONDS_A_SIZE = 0.1


def measured_times(
    candidates: Mapping[Runtime, Scores], probes: Matrix
) -> dict[Runtime, dict[int, float]]:
    """Return the median microseconds of a call, taking turns so that all meet the same machine."""
    tick = SystemClock().monotonic
    found: dict[Runtime, dict[int, float]] = {name: {} for name in candidates}
    for rows in SIZES:
        batch = np.resize(probes, (rows, probes.shape[1]))
        seconds: dict[Runtime, list[float]] = {name: [] for name in candidates}
        end = tick() + _SECONDS_A_SIZE
        for turn in range(_TURNS):
            if turn >= _FEWEST_TURNS and tick() > end:
                break
            for name, scores in candidates.items():
                for _ in range(_CALLS_A_TURN):
                    before = tick()
                    scores(batch)
                    seconds[name].append(tick() - before)
        for name, measured in seconds.items():
            found[name][rows] = round(float(np.median(measured)) * 1e6, 1)
    return found


def fastest(timings: Mapping[Runtime, Times], weights: Times) -> Runtime:
    """Return the runtime of least weighted time, the library where none is clearly faster.

    Args:
        timings: Runtime to rows to microseconds, the library among them.
        weights: How much each number of rows counts; each as a share of the library's time.
    """
    library = timings["library"]
    shares: dict[Runtime, float] = {
        name: sum(weight * measured[rows] / library[rows] for rows, weight in weights.items())
        for name, measured in timings.items()
    }
    best = min(shares, key=lambda name: shares[name])
    return best if shares[best] <= _CLEARLY else "library"


def crossing(small: Times, large: Times) -> int:
    """Return the rows from which `large` is faster: times are nearly straight lines between."""
    lead = {rows: small[rows] - large[rows] for rows in SIZES}
    later = next((rows for rows in SIZES[1:] if lead[rows] > 0), SIZES[-1])
    earlier = SIZES[SIZES.index(later) - 1]
    if lead[later] <= 0 or lead[earlier] >= 0:
        return later
    share = -lead[earlier] / (lead[later] - lead[earlier])
    return math.ceil(earlier + share * (later - earlier))
