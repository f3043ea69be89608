"""This module asks of the evidence, one check at a time, what a rule demands; it is pure.

A check that cannot tell is "unknown", and unknown is no success: figures that are missing, not
finite, of another type or that contradict each other hold the challenger.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from serving._check import Check, failed, is_count, is_moment, make_check, passed, unknown
from serving._evidence_document import Evidence, Totals
from serving._rule_text import block_name
from serving._sequences import log_e_of_errors
from serving.rule import Rule


def works(rule: Rule, totals: Any) -> Check:
    """Check the guardrail: too many failing shadow scores withdraw the challenger."""
    name = "challenger works"
    tried, broken = getattr(totals, "shadow_tried", None), getattr(totals, "shadow_failed", None)
    if not is_count(tried) or not is_count(broken) or broken > tried:
        return unknown(name, "How many shadow scores failed is not known.")
    if tried == 0:
        return unknown(name, "There is no shadow score yet.", tried=0, failed=0)
    share = broken / tried
    said = f"{broken:,} of {tried:,} shadow scores ({share:.3%}) are errors or no numbers"
    limit = f"{rule.max_error_rate:.4g} is allowed"
    figures = {"tried": tried, "failed": broken, "share": share, "limit": rule.max_error_rate}
    if share <= rule.max_error_rate:
        return passed(name, f"{said}; {limit}.", **figures)
    evidence = log_e_of_errors(broken, tried, rule.max_error_rate)
    figures["log_e"], figures["needed"] = evidence, -math.log(rule.error_alpha)
    if evidence >= -math.log(rule.error_alpha):
        sentence = f"{said}; {limit}, and this is beyond chance."
        return make_check(name, "failed", "rollback", sentence, figures)
    return failed(name, f"{said}; {limit}, though this may still be chance.", **figures)


def is_one_pair(evidence: Evidence) -> Check:
    """Check that one champion and one challenger made all of the evidence."""
    name, mixed = "one pair of models", evidence.totals.mixed
    for role in ("champion", "challenger"):
        if not isinstance(getattr(evidence, role), str) or not getattr(evidence, role):
            return unknown(name, f"The {role} is not known: nothing was logged by one.")
    pair = f"{evidence.champion} answered and {evidence.challenger} shadowed"
    if getattr(evidence, "arms", ()):
        pair = f"{evidence.champion} and {evidence.challenger} answered their own units"
    if evidence.champion == evidence.challenger:
        return failed(name, f"{evidence.champion} is compared with itself.")
    if mixed:
        return failed(name, f"{pair}, but {mixed:,} decisions name other models.", mixed=mixed)
    return passed(name, f"{pair} every time.", mixed=mixed)


def has_outcomes(rule: Rule, totals: Totals) -> Check:
    """Check the share of mature decisions whose outcome is known, null or not.

    Where what is missing is taken for zero, at least one outcome must have been told: otherwise a
    pipeline that died would make whoever always says 0 the better model.
    """
    name, known = "outcomes are known", totals.labelled + totals.censored - totals.unusable
    if totals.decisions == 0:
        return unknown(name, "There is no mature decision yet.")
    share = known / totals.decisions
    said = (
        f"outcomes are known for {known:,} of {totals.decisions:,} mature decisions ({share:.2%})"
        f", {totals.censored:,} of them null"
    )
    if totals.unusable:
        said += f"; {totals.unusable:,} more are, or were scored, as {rule.metric} cannot take it"
    figures = {"known": known, "share": share, "needed": rule.min_coverage}
    filled = getattr(totals, "filled", 0)
    if filled:
        said += f"; {filled:,} were never told, and are taken for 0"
        figures["filled"] = filled
        if filled >= totals.labelled:
            return unknown(name, f"Not one outcome was told: {said}.", **figures)
    if rule.missing_outcomes == "hold" and known < totals.decisions:
        return failed(name, f"Only {said}, and the rule waits for all.", **figures)
    if share < rule.min_coverage:
        return failed(name, f"Only {said}; {rule.min_coverage:.4g} is needed.", **figures)
    return passed(name, f"{said[0].upper()}{said[1:]}.", **figures)


def has_scores(rule: Rule, totals: Totals, *, who: str = "challenger") -> Check:
    """Check the share of mature decisions that the challenger, or whoever it is, scored."""
    name = f"{who} scored"
    if totals.decisions == 0:
        return unknown(name, "There is no mature decision yet.")
    scored = totals.decisions - totals.shadow_missing - totals.shadow_errors
    share = scored / totals.decisions
    said = f"the {who} scored {scored:,} of {totals.decisions:,} mature decisions"
    said += f" ({share:.2%})"
    figures = {"scored": scored, "share": share, "needed": rule.min_shadow_coverage}
    if share < rule.min_shadow_coverage:
        return failed(name, f"Only {said}; {rule.min_shadow_coverage:.4g} is needed.", **figures)
    return passed(name, f"{said[0].upper()}{said[1:]}.", **figures)


def has_arms(rule: Rule, evidence: Evidence) -> Check:
    """Check that both arms of a randomised design have answers with outcomes.

    The share over all decisions would hide a small arm.
    """
    name, arms = "both arms answer", getattr(evidence, "arms", ())
    by_model = {getattr(arm, "model", None): arm for arm in arms} if arms else {}
    if not by_model or any(
        role not in by_model for role in (evidence.champion, evidence.challenger)
    ):
        return unknown(name, "There are no two arms: one of the models answers nobody.")
    said: list[str] = []
    figures: dict[str, int] = {}
    least = 1.0
    for role in ("champion", "challenger"):
        arm = by_model[getattr(evidence, role)]
        counts = [getattr(arm, key, None) for key in ("decisions", "known", "counted")]
        decisions, known, counted = (each if is_count(each) else 0 for each in counts)
        if not decisions or not counted:
            return unknown(name, f"Of the {role}'s arm, no decision counts.")
        said.append(
            f"{known:,} of {decisions:,} outcomes ({known / decisions:.2%}) of the {role}'s"
        )
        figures |= {f"{role} decisions": decisions, f"{role} known": known}
        least = min(least, known / decisions)
    sentence = f"There are {' and '.join(said)}"
    if least < rule.min_coverage:
        return failed(name, f"{sentence}; {rule.min_coverage:.4g} is needed in each.", **figures)
    return passed(name, f"{sentence}.", **figures)


def is_enough(rule: Rule, evidence: Evidence) -> Check:
    """Check that there are as many blocks and decisions as the rule asks for."""
    name, paired = "enough evidence", evidence.totals.paired
    blocks = sum(block.z is not None for block in evidence.blocks)
    said = f"{blocks:,} {block_name(rule)} and {paired:,} decisions; {rule.min_blocks:,} and "
    said += f"{rule.min_decisions:,} are needed"
    figures = {"blocks": blocks, "decisions": paired, "waiting": evidence.totals.waiting}
    if blocks < rule.min_blocks or paired < rule.min_decisions:
        waiting = f"{evidence.totals.waiting:,} more decisions are not mature yet"
        return failed(name, f"There are {said}; {waiting}.", **figures)
    return passed(name, f"There are {said}.", **figures)


def is_fresh(rule: Rule, evidence: Evidence) -> Check:
    """Check that decisions are still being made."""
    name, newest = "evidence is fresh", evidence.newest
    if not is_moment(newest):
        return unknown(name, "There is no mature decision yet.")
    age = (evidence.as_of - newest) / timedelta(hours=1)
    # a decision of a block that has just closed may be as old as the window and the block
    block = block_hours(rule, evidence)
    limit = rule.label_window_hours + block + rule.max_age_hours
    figures = {"age_hours": age, "limit_hours": limit}
    said = f"The newest mature decision is {age:,.1f} hours old"
    if not 0 <= age <= limit:
        return unknown(name, f"{said}; {limit:,.1f} is allowed.", **figures)
    return passed(name, f"{said}.", **figures)


def block_hours(rule: Rule, evidence: Evidence) -> float:
    """Return how long a block is; of those by count, how long they were on average."""
    if rule.block != "count":
        return {"week": 168, "day": 24, "hour": 1}[rule.block]
    if len(evidence.blocks) < 2:
        return 0
    span = evidence.blocks[-1].start - evidence.blocks[0].start
    return span / timedelta(hours=1) / (len(evidence.blocks) - 1)
