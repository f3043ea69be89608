"""This benchmark counts how often a model that works is rolled back, however long it answers.

20,000 models each answer 110,000 times, and fail, or are slow, at half of what their guardrail
allows. They are judged as the serving host does, after every 10 answers at first and every 200
later, by the rule's own checks. The control is what monitors usually do: of the last 100 answers
more than twice the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks._guarded_lives import lived, looks
from serving.rule_guardrails import ErrorRate, Latency

_LIVES, _BROKEN, _SEED = 20_000, 200, 2064
_GUARDRAILS: tuple[ErrorRate | Latency, ...] = (ErrorRate(max=0.01), Latency(max_ms=20.0))
_ALLOWED = 0.01
_GOAL_PERCENT, _UPPER_PERCENT = 0.1, 0.16


def run() -> Iterator[dict[str, Any]]:
    """Yield the share of models that are rolled back though they work, in percent."""
    detail: dict[str, Any] = {}
    worst, naive = 0.0, 1.0
    for place, guardrail in enumerate(_GUARDRAILS):
        well = lived(guardrail, _ALLOWED / 2, lives=_LIVES, seed=_SEED + place)
        limit = lived(guardrail, _ALLOWED, lives=_LIVES, seed=_SEED + 10 + place)
        broken = lived(guardrail, 5 * _ALLOWED, lives=_BROKEN, seed=_SEED + 20 + place)
        count = int((well.rolled_back >= 0).sum())
        worst, naive = max(worst, count / _LIVES), min(naive, float(well.naive.mean()))
        detail[guardrail.metric] = {
            "rolled_back": count,
            "percent": round(100 * count / _LIVES, 4),
            "upper_95_percent": round(100 * _upper(count, _LIVES), 4),
            "naive_percent": round(100 * float(well.naive.mean()), 2),
            "at_the_limit_percent": round(100 * float((limit.rolled_back >= 0).mean()), 3),
            "at_five_times_percent": round(100 * float((broken.rolled_back >= 0).mean()), 1),
            "at_five_times_answers_p50": float(np.median(broken.rolled_back)),
        }
    yield {
        "name": "false_rollback",
        "value": round(100 * worst, 4),
        "unit": "% of models",
        "baseline": "% of models, more than twice the limit in a window of 100",
        "baseline_value": round(100 * naive, 2),
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": _GOAL_PERCENT},
        "detail": {
            "models": _LIVES,
            "answers": int(looks()[-1]),
            "looks": int(looks().size),
            "limit": _ALLOWED,
            "rate": _ALLOWED / 2,
            "alpha": _GUARDRAILS[0].alpha,
            "upper_goal_percent": _UPPER_PERCENT,
            "seed": _SEED,
            **detail,
        },
    }


def _upper(count: int, of: int) -> float:
    """Return the one-sided upper 95 % limit of a share (Clopper and Pearson)."""
    from scipy.stats import beta  # type: ignore[import-untyped]

    return float(beta.ppf(0.95, count + 1, of - count))
