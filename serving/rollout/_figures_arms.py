"""This module counts units and outcomes of the two arms of an experiment, as they were dealt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.rollout._guard_rows import Look, numbers
from serving.rule_guardrails import LabelCoverage

# The first time that a unit was dealt, while both had a chance; whoever answered. What was dealt to
# a third model says nothing of these two, and their chances are those of one of the two.
_UNITS = """
WITH dealt AS (
    SELECT coalesce(d.unit, d.id) AS unit, d.assigned,
        list_extract(d.propensities, list_position(d.candidates, $champion)) AS champion,
        list_extract(d.propensities, list_position(d.candidates, $challenger)) AS challenger,
        row_number() OVER (PARTITION BY coalesce(d.unit, d.id) ORDER BY d.decided_at, d.id) AS place
    FROM decisions d
    WHERE {members} AND epoch_us(d.decided_at) <= $as_of AND d.assigned IS NOT NULL
)
SELECT CAST(assigned = $challenger AS INTEGER) AS met,
    challenger / (champion + challenger) AS chance, count(*) AS units
FROM dealt
WHERE place = 1 AND champion > 0 AND challenger > 0 AND assigned IN ($champion, $challenger)
GROUP BY ALL ORDER BY chance, met
"""


def ratio_figures(look: Look) -> dict[str, Any]:
    """Return how many units met each arm, and how many were to, by their logged chances.

    Args:
        look: The look.
    """
    from serving.statistics.sample_ratio import log_e_of_ratio

    state = look.state
    found = look.read(_UNITS, champion=state.champion, challenger=state.challenger)
    met, chance, units = (numbers(found, name) for name in ("met", "chance", "units"))
    evidence = log_e_of_ratio(met, np.stack([1 - chance, chance], axis=1), counts=units)
    expected = float(units @ chance)
    return {
        "arms": [
            {
                "model": state.champion,
                "units": int(units[met == 0].sum()),
                "expected": float(units.sum()) - expected,
            },
            {
                "model": state.challenger,
                "units": int(units[met == 1].sum()),
                "expected": expected,
            },
        ],
        "log_e": _plain(evidence),
    }


def coverage_figures(look: Look, guardrail: LabelCoverage) -> dict[str, Any]:
    """Return of how many mature decisions the outcome is known in each arm, as it was dealt.

    Of a unit its first decision in a block counts, because the others' outcomes tend to come, or
    to be lost, with it. A null that was told is known.

    Args:
        look: The look.
        guardrail: Which gap is allowed.
    """
    from serving.statistics.coverage import log_e_of_coverage

    rows, models = look.rows, (look.state.champion, look.state.challenger)
    units, _ = rows.numbered("unit")
    size = int(rows.block.max(initial=-1)) + 1
    first = np.zeros(units.size, dtype=bool)
    first[np.unique(units * max(size, 1) + rows.block, return_index=True)[1]] = True
    trials, known = np.zeros((size, 2)), np.zeros((size, 2))
    for arm, model in enumerate(models):
        of_arm = first & rows.is_in("assigned", model)
        trials[:, arm] = np.bincount(rows.block[of_arm], minlength=size)
        known[:, arm] = np.bincount(rows.block[of_arm & rows.known], minlength=size)
    together = trials.all(axis=1)  # a block in which one arm is empty compares nothing
    evidence = log_e_of_coverage(trials[together], known[together], gap=guardrail.max_gap)
    return {
        "arms": [
            {
                "model": model,
                "decisions": int(trials[together, arm].sum()),
                "known": int(known[together, arm].sum()),
            }
            for arm, model in enumerate(models)
        ],
        "log_e": _plain(float(evidence[-1])) if evidence.size else 0.0,
    }


def _plain(evidence: float) -> float | str:
    return "inf" if evidence == math.inf else evidence
