"""This module asks how much more than the nulls have is too much for the test; days alone.

Each answer has two figures: what the bound alone would promote, and what is left of it where the
check of the block length, which a ruling has too, holds the rest.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks._promotion_days import Vector
from benchmarks._promotion_flights import Pair
from benchmarks._promotion_nulls import (
    ALPHA,
    DAYS,
    MIN_BLOCKS,
    Random,
    alike_days,
    clustered,
)
from serving._comparison import PLANNED
from serving._sequences import block_sequence
from serving.statistics.block_length import block_length

_RUNS, _SEED = 2_000, 1908
_A_DAY = 500


def beyond(name: str, pairs: list[Pair]) -> dict[str, dict[str, float]]:
    """Return false promotions in percent where luck is worse than a null's; fixed seeds.

    Args:
        name: The null.
        pairs: Real days of all pairs of models, the worst skewed first.
    """
    random = np.random.default_rng(_SEED)
    if name == "day_clustered":
        return {
            f"{pair.champion} against {pair.challenger}": _percent(
                clustered(pair)(random, _RUNS).values
            )
            for pair in pairs
        }
    if name == "autocorrelated_days":
        found = {
            f"neighbours alike by {alike:g}": _percent(alike_days(random, _RUNS, alike=alike))
            for alike in (0.2, 0.5, 0.7)
        }
        for row in (2, 5, 10):
            days = clustered(pairs[0], in_a_row=row)(random, _RUNS).values
            found[f"{row} real days in a row"] = _percent(days)
        return found
    if name == "heavy_tailed":
        size = (_RUNS, DAYS)
        return {
            "days of Student's t, 3 degrees": _percent(random.standard_t(3, size=size)),
            "exponential days, skewness -2": _percent(1 - random.exponential(size=size)),
            "lognormal days, skewness -6.2": _percent(math.exp(0.5) - random.lognormal(size=size)),
        }
    if name == "drifting_base_rate":
        return {
            "models that are better where the other is worse": _percent(_traded(random)),
        }
    return {}


def _traded(random: Random) -> Vector:
    """Return days of models with the same Brier score at a base rate of 0.3 alone.

    The rate wanders around it for weeks, and with it who is the better one: then the challenger is
    better on the days that were seen, and is promoted for that.
    """
    wander = alike_days(random, _RUNS, alike=0.9)
    rate = 1 / (1 + np.exp(-(math.log(0.3 / 0.7) + 0.5 * wander)))
    happened = random.binomial(_A_DAY, rate) / _A_DAY
    better_on_those, worse_on_others = 0.8**2 - 0.6**2, 0.4**2 - 0.2**2
    values = happened * better_on_those - (1 - happened) * worse_on_others
    values -= values.mean()
    return values


def _percent(values: Vector) -> dict[str, float]:
    known = block_sequence(values, alpha=ALPHA, planned=PLANNED * MIN_BLOCKS, effective=True)
    enough = known.log_e[:, MIN_BLOCKS - 1 :] >= -math.log(ALPHA)
    long_enough = enough.copy()
    for run, look in np.argwhere(enough):
        seen = block_length(values[run, : MIN_BLOCKS + look])
        long_enough[run, look] = not seen.too_short
    shares = {"bound": enough, "bound and block length": long_enough}
    return {k: round(100 * float(looks.any(axis=1).mean()), 2) for k, looks in shares.items()}
