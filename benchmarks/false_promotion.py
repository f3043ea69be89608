"""This benchmark counts how often a challenger that is no better is promoted, looking every day.

Simulated and resampled requests go through what makes and judges real evidence: blocks by
`serving._blocks`, the test of `serving._sequences` as rulings have it, and for some runs the whole
of `serving.rollout.assess` at every look. A z test over requests, on the same data, is the control
that must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks._promotion_days import Days, Flags
from benchmarks._promotion_delays import delayed
from benchmarks._promotion_flights import Pair, real_pairs
from benchmarks._promotion_limits import beyond
from benchmarks._promotion_looks import at_any_look, commit, goal, naive, proofs, seeds
from benchmarks._promotion_nulls import DAYS, KEPT, LOSSES, MIN_BLOCKS, PROBABILITIES, nulls
from benchmarks._promotion_rulings import agreement
from serving.rule import Rule

RUNS = 2_000
_FIXED_SEED = 2013
_LEAST_NAIVE = {"iid": 15.0, "day_clustered": 75.0, "delayed_labels": 75.0}

_Found = tuple[Days, dict[str, Flags]]


def run() -> Iterator[dict[str, Any]]:
    """Yield the share of false promotions under each null, and of the controls."""
    pairs = real_pairs(LOSSES)
    drawn: dict[str, tuple[Rule, Callable[[np.random.Generator, int], _Found]]] = {
        null.name: (null.rule, _with_naive(null.draw)) for null in nulls(pairs[0])
    }
    drawn["delayed_labels"] = (PROBABILITIES, _with_landing)
    for number, (name, (rule, draw)) in enumerate(drawn.items()):
        sets: dict[str, dict[str, Any]] = {}
        worst, controls = 0.0, []
        for kind, seed in seeds(name, _FIXED_SEED + number).items():
            days, control = draw(np.random.default_rng(seed), RUNS)
            looks = proofs(days)
            whole = agreement(days, looks, rule, runs=KEPT)
            share = at_any_look(looks)
            found = {said: at_any_look(flags).percent for said, flags in control.items()}
            controls.append(found["naive"])
            worst = max(worst, share.percent)
            # a ruling that is another than the fast way's: then the share is not that of rulings
            worst = np.nan if whole.differ else worst
            sets[kind] = {"seed": seed} | share.to_json() | {"control": found}
            sets[kind]["whole_rulings"] = asdict(whole)
        detail: dict[str, Any] = {"sets": sets, "commit": commit(), "runs": RUNS, "days": DAYS}
        detail |= {"first_look": MIN_BLOCKS, "alpha": rule.alpha} | _said(name, pairs)
        yield _row(name, worst, detail, min(controls))
        if name in _LEAST_NAIVE:
            yield _control_row(name, min(controls), sets)


def _with_naive(draw: Callable[[np.random.Generator, int], Days]) -> Any:
    def both(random: np.random.Generator, runs: int) -> _Found:
        days = draw(random, runs)
        return days, {"naive": naive(days)}

    return both


def _with_landing(random: np.random.Generator, runs: int) -> _Found:
    landing = delayed(random, runs)
    control = {"naive": landing.naive, "days_as_they_land": landing.blocks}
    return landing.mature, control | {"naive_on_mature": naive(landing.mature)}


def _said(name: str, pairs: list[Pair]) -> dict[str, Any]:
    """Return what belongs to one null alone: the real days, and how much more is too much."""
    said: dict[str, Any] = {"beyond": beyond(name, pairs)}
    if name == "day_clustered":
        said["real_days"] = {
            f"{pair.champion} against {pair.challenger}": {
                key: round(value, 4) for key, value in pair.facts.items()
            }
            for pair in pairs
        }
    return said


def _row(name: str, percent: float, detail: dict[str, Any], control: float) -> dict[str, Any]:
    known = not np.isnan(percent)
    return {
        "name": f"false_promotion.{name}",
        "value": percent if known else None,
        "unit": "% of runs",
        "baseline": "z test over requests",
        "baseline_value": control,
        "ratio": percent / control if known and control else None,
        "higher_is_better": False,
        # at most 6.1, and the lower bound at most 5: of so many runs this share is the largest
        "goal": {"at_most": goal(RUNS)},
        "detail": detail,
    }


def _control_row(name: str, percent: float, sets: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"false_promotion.naive_{name}",
        "value": percent,
        "unit": "% of runs",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": True,
        "goal": {"at_least": _LEAST_NAIVE[name]},
        "detail": {kind: found["control"] for kind, found in sets.items()},
    }
