"""This module rules on a challenger: promote, ramp, hold, invalidate or roll back; it is pure.

The stages are shadow, traffic and watch. Every check says the best that its answer allows, and the
worst of them is the ruling: so whatever is missing, stale, mistyped or not a number can hold a
challenger, and never help it. What acts is elsewhere. docs/adr/0051 has the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.errors import DataError
from serving import judge as verdicts
from serving._check import Check, failed, make_check, rounded
from serving._checks import works
from serving._comparison import Comparison
from serving._evidence_document import Evidence
from serving._verdict import FORMAT as VERDICT_FORMAT
from serving._verdict import Verdict
from serving._wholeness import is_whole
from serving.rollout._belonging import belongs, goes_forward, is_free
from serving.rollout._contest import contest, contest_checks, time_checks
from serving.rollout._expecting import expected
from serving.rollout._level import level
from serving.rollout._steps import approval_checks, goal_of, step_checks
from serving.rollout._watching import watch_checks, watched
from serving.rollout.gathered import Gathered
from serving.rollout.guardrails import guardrail_checks
from serving.rollout.ruling import FORMAT, Ruling
from serving.rollout.state import RolloutState
from serving.rule import Rule

__all__ = ["assess", "replay"]


def assess(rule: Rule, gathered: Gathered, state: RolloutState) -> Ruling:
    """Return what a rule says of a challenger; the same for the same, and never an error.

    Args:
        rule: The rule that the evidence was gathered for; with any other it is held.
        gathered: Figures may be missing, not finite or of a wrong type: then it is held. Of the
            scope "live", guardrails that need no outcome are all that is judged.
        state: Where the challenger stands; what does not fit the evidence holds.
    """
    if gathered.scope != "all":
        return _live(rule, gathered, state)
    comparison, checks = (_in_a_watch if state.stage == "watch" else _on_its_way)(
        rule, gathered, state
    )
    checks = [*checks, *guardrail_checks(rule, gathered, state)]
    action = verdicts.worst(check.action for check in checks)
    ruling = Ruling(
        rule=rule,
        gathered=gathered,
        state=state,
        action=action,
        checks=tuple(checks),
        alpha=rounded(comparison.alpha),
        bounds=comparison.bounds,
        crossed=comparison.crossed,
        share=goal_of(rule, state).share if action == "ramp" else None,
    )
    return replace(ruling, expected=expected(ruling))


def replay(trace: Mapping[str, Any]) -> Ruling | Verdict:
    """Judge again what a trace holds, and require the same to the last byte.

    Args:
        trace: What `Ruling.trace` or, before there were rulings, `Verdict.trace` returned, or its
            JSON read back.

    Raises:
        DataError: It is no trace, or judging it again gives something else.
        ParameterError: Its rule is none.
    """
    found = trace.get("format") if isinstance(trace, Mapping) else None
    if found == VERDICT_FORMAT:
        return verdicts.replay(trace)
    if found != FORMAT or not isinstance(trace.get("rule"), Mapping):
        raise DataError(
            f"The trace has the format {found!r}, or no rule; expected '{FORMAT}' or "
            f"'{VERDICT_FORMAT}'.",
            remedy="Give the document that `Ruling.trace()` or `Verdict.trace()` returned.",
        )
    ruling = assess(
        Rule(**trace["rule"]),
        Gathered.from_json(trace.get("gathered") or {}),
        RolloutState.from_json(trace.get("state") or {}),
    )
    verdicts.require_same(trace, ruling.trace())
    return ruling


def _live(rule: Rule, gathered: Gathered, state: RolloutState) -> Ruling:
    """Return a rollback where a guardrail that needs no outcome is broken, and hold otherwise."""
    sentence = "Guardrails alone were looked at: nothing advances on them."
    checks = [make_check("scope", "passed", "hold", sentence, {})]
    checks += guardrail_checks(rule, gathered, state)
    is_broken = any(check.action == "rollback" for check in checks)
    return Ruling(
        rule=rule,
        gathered=gathered,
        state=state,
        action="rollback" if is_broken else "hold",
        checks=tuple(checks),
        alpha=rounded(level(rule, state).alpha),
    )


def _on_its_way(
    rule: Rule, gathered: Gathered, state: RolloutState
) -> tuple[Comparison, list[Check]]:
    """Return the checks of a challenger in shadow or traffic, but for the guardrails."""
    goal, judged_at = goal_of(rule, state), level(rule, state)
    comparison = Comparison(alpha=judged_at.alpha)
    checks = [belongs(gathered, state), goes_forward(rule, gathered, state), is_free(state)]
    fits = checks[0].state == "passed"
    evidence = gathered.primary
    if isinstance(evidence, Evidence):
        whole = is_whole(rule, evidence)
        checks.append(whole)
        if fits and whole.state == "passed":
            comparison = contest(rule, evidence, judged_at)
            checks += contest_checks(rule, evidence, judged_at, comparison, goal)
            if checks[1].state == "passed":
                checks += time_checks(rule, gathered, state, comparison, goal)
        elif fits:  # that it does not work is seen all the same
            checks.append(works(rule, evidence.totals))
    checks += step_checks(rule, gathered, state, goal)
    checks += approval_checks(rule, state, goal)
    return comparison, checks


def _in_a_watch(
    rule: Rule, gathered: Gathered, state: RolloutState
) -> tuple[Comparison, list[Check]]:
    """Return the checks of a promotion that is watched, but for the guardrails."""
    watch = rule.watch
    checks = [belongs(gathered, state), goes_forward(rule, gathered, state), is_free(state)]
    if watch is None:
        said = "The rule '" + rule.name + "' watches no promotion: a person ends it."
        return Comparison(alpha=0.0), [*checks, failed("rule watches", said)]
    comparison = Comparison(alpha=watch.alpha)
    evidence = gathered.primary
    if isinstance(evidence, Evidence):
        whole = is_whole(rule, evidence)
        checks.append(whole)
        if {checks[0].state, whole.state} == {"passed"}:
            comparison = watched(rule, watch, evidence)
            checks += watch_checks(rule, watch, evidence, comparison)
    return comparison, checks
