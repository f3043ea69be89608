"""This module judges evidence by a rule: promote, hold or rollback, with reasons; it is pure.

Every check allows one of the three, and the worst wins: rollback, then hold, then promote. So
promotion needs every check to pass, and nothing that is missing can bring it about.

It knows neither the guardrails of a rule nor the challengers tried before; see
`serving.rollout.assess`. Verdicts of before are judged again here, to the same byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.content import canonical_json
from headrace.errors import DataError
from serving._check import WORST_FIRST, Action, Check
from serving._checks import has_outcomes, has_scores, is_enough, is_fresh, is_one_pair, works
from serving._comparison import Comparison, compared_by, is_better
from serving._evidence_document import Evidence
from serving._verdict import FORMAT, Bound, Verdict
from serving._wholeness import is_whole
from serving.rule import Rule

__all__ = ["Action", "Bound", "Check", "Verdict", "judge", "replay"]


def judge(rule: Rule, evidence: Evidence) -> Verdict:
    """Return what the rule says of the evidence; the same for the same, and never an error.

    Args:
        rule: The rule that the evidence was collected for; with any other it is held.
        evidence: Figures may be missing, not finite or of a wrong type: then the verdict is hold.
    """
    whole = is_whole(rule, evidence)
    checks = [whole, works(rule, evidence.totals)]
    comparison = Comparison(alpha=rule.alpha)
    if whole.state == "passed":
        comparison = compared_by(rule, evidence.blocks, alpha=rule.alpha)
        checks += [
            is_one_pair(evidence),
            has_outcomes(rule, evidence.totals),
            has_scores(rule, evidence.totals),
            is_enough(rule, evidence),
            is_fresh(rule, evidence),
            is_better(rule, comparison),
        ]
    return Verdict(
        rule=rule,
        evidence=evidence,
        action=worst(check.action for check in checks),
        checks=tuple(checks),
        bounds=comparison.bounds,
        crossed=comparison.crossed,
    )


def worst(actions: Any) -> Action:
    """Return the worst of some actions, in whatever order they come; hold when there are none."""
    given = set(actions)
    return next((action for action in WORST_FIRST if action in given), "hold")


def replay(trace: Mapping[str, Any]) -> Verdict:
    """Judge again what a trace holds, and require the same verdict to the last byte.

    Args:
        trace: What `Verdict.trace` returned, or its JSON read back.

    Raises:
        DataError: It is no trace, or judging it again gives something else.
        ParameterError: Its rule is none.
    """
    found = trace.get("format") if isinstance(trace, Mapping) else None
    if found != FORMAT or not isinstance(trace.get("rule"), Mapping):
        raise DataError(
            f"The trace has the format {found!r}, or no rule; expected '{FORMAT}'.",
            remedy="Give the document that `Verdict.trace()` returned.",
        )
    verdict = judge(Rule(**trace["rule"]), Evidence.from_json(trace.get("evidence") or {}))
    require_same(trace, verdict.trace())
    return verdict


def require_same(trace: Mapping[str, Any], again: Mapping[str, Any]) -> None:
    """Require that judging a trace again gives the same, to the last byte.

    Raises:
        DataError: It does not; the message names what differs.
    """
    differ = [
        key
        for key in sorted({*again, *trace})
        if key not in trace
        or key not in again
        or canonical_json(again[key]) != canonical_json(trace[key])
    ]
    if differ:
        raise DataError(
            f"Judging the trace again gives another {', '.join(differ)}: it says "
            f"{trace.get('action')!r}, its rule and evidence say {again['action']!r}.",
            remedy="The trace was changed, or written by another version: collect the evidence "
            "again and judge that.",
        )
