"""This module counts answers that failed or came late: beside the lane, or else from the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.rollout._guard_rows import Look
from serving.rollout.live_counts import live_figures
from serving.rule_guardrails import ErrorRate, Latency

# A challenger that was too busy, or is not asked any more, was not asked: its breaker counts that.
_COUNTS = """
WITH tried AS (
    SELECT id, bool_or(error IS NOT NULL OR score IS NULL OR NOT isfinite(score)) AS broken,
        max(coalesce(ms, 0)) AS ms
    FROM shadows WHERE model = $subject AND experiment = $experiment GROUP BY id
), asked AS (
    SELECT d.id, coalesce(d.fallback, '') IN ('error', 'timeout') AS broken
    FROM decisions d
    WHERE {members} AND epoch_us(d.decided_at) <= $as_of
        AND coalesce(d.assigned, d.model) = $subject
        AND (d.model = $subject OR d.fallback IN ('error', 'timeout'))
), scored AS (
    SELECT t.* FROM tried t
    JOIN decisions d ON d.id = t.id
    LEFT JOIN asked a ON a.id = t.id
    WHERE epoch_us(d.decided_at) <= $as_of AND a.id IS NULL
)
SELECT
    (SELECT count(*) FROM scored) AS scored,
    (SELECT count(*) FROM scored WHERE broken) AS broken,
    (SELECT count(*) FROM scored WHERE broken OR ms > $max_ms) AS slow,
    (SELECT count(*) FROM asked) AS asked,
    (SELECT count(*) FROM asked WHERE broken) AS lost
"""


def counted_errors(
    look: Look, guardrail: ErrorRate | Latency, live: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the counts of "error_rate" or "latency".

    A decision that a challenger failed to answer, and that it was asked again in shadow, is one
    trial. The time of an answer is not in the log; that it was in time is. So where the patience is
    longer than the bound, what was answered is counted as `unseen`.

    Args:
        look: The look; the patience of the rule's ramp is what answers were waited for.
        guardrail: Which of the two.
        live: What was counted beside the lane; then the log is not read.
    """
    if live is not None:
        try:
            return live_figures(guardrail, live) or {"why": "this bound is not counted yet"}
        except (AttributeError, KeyError, TypeError, IndexError):
            return {"why": "what was counted beside the lane is damaged"}
    state, ramp = look.state, look.rule.ramp
    if state.stage == "watch":
        return {"why": "an answer that a champion failed to give is only counted beside the lane"}
    bound = guardrail.max_ms if isinstance(guardrail, Latency) else 0.0
    (row,) = look.read(_COUNTS, subject=look.subject, max_ms=bound).to_pylist()
    trials, lost = row["scored"] + row["asked"], row["lost"]
    if isinstance(guardrail, ErrorRate):
        return {"trials": trials, "failures": row["broken"] + lost}
    counts = {"trials": trials, "slow": row["slow"] + lost, "max_ms": bound}
    counts["quantile"] = guardrail.quantile
    patience = None if ramp is None or state.design != "ramp" else ramp.patience_ms
    if row["asked"] > lost and (patience is None or patience > bound):
        counts["unseen"] = row["asked"] - lost
    return counts
