"""This benchmark counts how often a better challenger is promoted, looking every day.

The minimal effect is the one that a test with one look, after the last day, would find in four of
five runs; its power is the measure. Runs are drawn and judged as in `false_promotion`, with the
challenger's losses smaller by once and twice that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._promotion_days import Days, Flags
from benchmarks._promotion_flights import LIFT, Pair, real_pairs
from benchmarks._promotion_looks import at_any_look, commit, proofs, seeds
from benchmarks._promotion_nulls import (
    A_DAY,
    ALPHA,
    DAYS,
    KEPT,
    LOSSES,
    MIN_BLOCKS,
    NAIVE_Z,
    Draw,
    clustered,
    independent,
)
from benchmarks._promotion_rulings import agreement
from serving.statistics.group_sequential import group_sequence

RUNS = 2_000
_FIXED_SEED = 1763
_LEAST = 0.8
# one-sided 5 %, and four of five
_FOUR_OF_FIVE = NAIVE_Z + 0.8416
_LOOKS = 5


def run() -> Iterator[dict[str, Any]]:
    """Yield the power at twice the minimal effect, in that of one look at the end."""
    pair = real_pairs(LOSSES)[0]
    ours, theirs = pair.losses
    of_a_day = float(pair.days.values.std())
    minimal = {
        "iid": _FOUR_OF_FIVE * float((ours - theirs).std()) / math.sqrt(DAYS * A_DAY),
        "clustered": _FOUR_OF_FIVE * of_a_day / math.sqrt(DAYS),
    }
    one_look = {"iid": _over_requests, "clustered": _over_days}
    for name, draws in {"iid": independent, "clustered": clustered}.items():
        found = {
            f"{times}x": _measured(name, draws, pair, times * minimal[name], one_look[name])
            for times in (1, 2)
        }
        sets = found["2x"]["sets"].values()
        power = min(each["power"] for each in sets)
        fixed = max(each["one_look_at_the_end"] for each in sets)
        ratio = min(each["power"] / each["one_look_at_the_end"] for each in sets)
        agrees = not any(each["rulings_that_differ"] for f in found.values() for each in _sets(f))
        yield {
            "name": f"promotion_power.{name}",
            "value": ratio if agrees else None,
            "unit": "of the power of one look",
            "baseline": "one look at the end",
            "baseline_value": fixed,
            "ratio": ratio,
            "higher_is_better": True,
            # with real days, four months are little: there the figure is reported
            "goal": {"at_least": _LEAST} if name == "iid" else None,
            "detail": {
                "effects": found,
                "power": power,
                "minimal_effect": minimal[name],
                "of_the_champions_loss": minimal[name] / float((ours - LIFT).mean()),
                "commit": commit(),
                "runs": RUNS,
                "days": DAYS,
                "first_look": MIN_BLOCKS,
                "alpha": ALPHA,
            },
        }


def _sets(found: dict[str, Any]) -> list[dict[str, Any]]:
    return list(found["sets"].values())


def _measured(
    name: str,
    draws: Callable[..., Draw],
    pair: Pair,
    effect: float,
    one_look: Callable[[Days], Flags],
) -> dict[str, Any]:
    draw, sets = draws(pair, better=effect), {}
    for kind, seed in seeds(f"{name} {effect:.6g}", _FIXED_SEED).items():
        days = draw(np.random.default_rng(seed), RUNS)
        looks = proofs(days)
        won = looks.any(axis=1)
        first = np.argmax(looks, axis=1)[won] + MIN_BLOCKS
        five = group_sequence(days.values, alpha=ALPHA, looks=_LOOKS, max_blocks=DAYS).log_e
        sets[kind] = {
            "seed": seed,
            "power": at_any_look(looks).percent / 100,
            "one_look_at_the_end": float(one_look(days).mean()),
            f"{_LOOKS}_looks": float((five >= -math.log(ALPHA)).any(axis=1).mean()),
            "median_days_of_those_promoted": float(np.median(first)) if won.any() else None,
            "mean_days_of_all": float(np.where(won, np.argmax(looks, 1) + MIN_BLOCKS, DAYS).mean()),
            "rulings_that_differ": agreement(days, looks, LOSSES, runs=KEPT).differ,
        }
    return {"effect": effect, "sets": sets}


def _over_requests(days: Days) -> Flags:
    """Return which runs a z test over all requests promotes; they are independent."""
    n, mean = days.counts.sum(axis=1), days.sums.sum(axis=1) / days.counts.sum(axis=1)
    spread = np.sqrt(days.squares.sum(axis=1) / n - mean**2)
    enough: Flags = mean / spread * np.sqrt(n) > NAIVE_Z
    return enough


def _over_days(days: Days) -> Flags:
    """Return which runs a t test over all days promotes."""
    from scipy.stats import t as student  # type: ignore[import-untyped]

    mean, spread = days.values.mean(axis=1), days.values.std(axis=1, ddof=1)
    enough: Flags = mean / spread * math.sqrt(DAYS) > student.isf(ALPHA, DAYS - 1)
    return enough
