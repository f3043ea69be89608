"""This module estimates, from logged decisions, what a challenger in shadow would have achieved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from serving._block_spans import Flags, Vector
from serving.rollout._guard_rows import Look, Rows, numbers, rows_of
from serving.rule_stages import Gate

if TYPE_CHECKING:
    import pyarrow as pa

_OTHERS = """
SELECT s.id, s.model, min(s.score) AS score FROM shadows s
WHERE s.id IN (
    SELECT d.id FROM decisions d WHERE {members} AND epoch_us(d.decided_at) <= $as_of
)
GROUP BY ALL ORDER BY s.id, s.model
"""
_MOST_FEATURES = 50
_FEWEST = 20


def gate_figures(look: Look, gate: Gate) -> dict[str, Any]:
    """Return the off-policy value of deciding by the challenger's scores.

    A decision is whether a score reaches the gate's threshold. Its propensity is the chance of all
    candidates together whose scores would have decided the same: of the one that answered as it
    did, of the others as they said in shadow. A decision of which a score is missing is left out,
    and so is one that the champion answered because another model failed.

    Args:
        look: The look; the reward is the rule's outcome, of which more, or less, is better.
        gate: How it is estimated.
    """
    from serving.statistics.off_policy import off_policy_value

    more = ", d.id AS id, d.features AS features, d.fallback IS NOT NULL AS fell_back"
    rows = rows_of(look, more=more)
    answered = numbers(rows.table, "answered")
    propensity, tried = _propensities(look, rows, answered, gate.threshold)
    # what the champion answered in another's stead was not decided by the chance that was dealt
    fell_back = rows.column("fell_back").to_numpy().astype(bool)
    used = np.isfinite(rows.outcome) & np.isfinite(rows.subject) & (propensity > 0) & ~fell_back
    if not used.any():
        return {"why": "there is no mature decision with an outcome and all scores"}
    if not tried[used].any():
        return {
            "why": "nothing was dealt by chance: every logged decision was the champion's, and what"
            " follows from any other was never seen"
        }
    sign = 1.0 if look.rule.is_better == "higher" else -1.0
    found = off_policy_value(
        reward=sign * rows.outcome[used],
        action=answered[used] >= gate.threshold,
        propensity=propensity[used],
        target=rows.subject[used] >= gate.threshold,
        features=_features(rows.table.filter(used)),
        block=rows.block[used],
        estimator=gate.estimator,
        min_effective=gate.min_effective,
        alpha=gate.alpha,
        max_drop=gate.max_drop,
    )
    counts: dict[str, Any] = {"estimator": gate.estimator, "decisions": found.decisions}
    counts |= {"effective": found.effective, "matched": found.matched}
    counts |= {"mean_weight": found.mean_weight, "left_out": int((~used).sum())}
    counts |= {"value": sign * found.value, "baseline": sign * found.baseline}
    counts["lower"] = found.lower
    if found.blocks < _FEWEST:
        counts["why"] = f"{found.blocks} blocks are too few to be sure: {_FEWEST} are needed"
    elif not found.overlaps:
        counts["why"] = (
            "the challenger would decide what the log never tried: the mean weight is "
            f"{found.mean_weight:.3f}, and would be 1"
        )
    return counts


def _propensities(
    look: Look, rows: Rows, answered: Vector, threshold: float
) -> tuple[Vector, Flags]:
    """Return the chance of what was decided, and whether anything else had one.

    The chance is 0 where it is not known, because a candidate's score is not.
    """
    shadows = look.read(_OTHERS).to_pylist()
    scores = {(each["id"], each["model"]): each["score"] for each in shadows}
    ids, models = rows.column("id").to_pylist(), rows.column("model").to_pylist()
    candidates = rows.column("candidates").to_pylist()
    chances = rows.column("propensities").to_pylist()
    total = np.zeros(len(ids))
    tried = np.zeros(len(ids), dtype=bool)
    done = answered >= threshold
    for at, (name, model) in enumerate(zip(ids, models, strict=True)):
        if not candidates[at] or not chances[at] or not np.isfinite(answered[at]):
            continue
        same = 0.0
        for candidate, chance in zip(candidates[at], chances[at], strict=True):
            if not chance:
                continue
            score = answered[at] if candidate == model else scores.get((name, candidate))
            if score is None or not np.isfinite(score):
                same = 0.0
                break
            if (score >= threshold) == done[at]:
                same += chance
        total[at] = min(same, 1.0)
        tried[at] = 0 < same < 1
    return total, tried


def _features(table: pa.Table) -> Vector:
    """Return the numbers that are known of each decision, for a model of the reward."""
    maps = [dict(each or ()) for each in table.column("features").to_pylist()]
    names = sorted({name for each in maps for name in each})[:_MOST_FEATURES]
    values = [[each.get(name) for name in names] for each in maps]
    found: Vector = np.array(values, dtype=np.float64).reshape(len(maps), len(names))
    return np.where(np.isfinite(found), found, np.nan)
