"""This module compares challenger and champion for a ruling: the checks of the rule's metric; pure.

They are those of `serving.judge`, at the level that is left after other challengers, and besides:
blocks must be long enough, the experiment as well, and it may expire.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from serving._blocks import advantage
from serving._check import Check, failed, make_check, passed, unknown
from serving._checks import (
    block_hours,
    has_arms,
    has_outcomes,
    has_scores,
    is_enough,
    is_fresh,
    is_one_pair,
    works,
)
from serving._comparison import PLANNED, Comparison, compared, compared_by, is_better
from serving._evidence_document import Evidence
from serving._rule_text import block_name
from serving.rollout._level import Level
from serving.rollout._steps import Goal, eased
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule


def contest(rule: Rule, evidence: Evidence, level: Level) -> Comparison:
    """Return the comparison of a rule, at a level; of evidence that is whole."""
    if level.alpha <= 0:
        return Comparison(alpha=0.0)
    return compared_by(rule, evidence.blocks, alpha=level.alpha, effective=True)


def contest_checks(
    rule: Rule, evidence: Evidence, level: Level, comparison: Comparison, goal: Goal
) -> list[Check]:
    """Return the checks of the comparison, of evidence that is whole.

    Args:
        rule: The rule.
        evidence: The evidence.
        level: At which level it is judged.
        comparison: What `contest` found.
        goal: What comes next: a step that need not have been won is not held by most of them.
    """
    if rule.design == "randomised":
        complete = [has_outcomes(rule, evidence.totals), has_arms(rule, evidence)]
    else:
        complete = [has_outcomes(rule, evidence.totals), has_scores(rule, evidence.totals)]
    asked = [
        *complete,
        is_enough(rule, evidence),
        is_fresh(rule, evidence),
        *_blocks_are_long(rule, evidence),
        is_better(rule, comparison, level=level.words),
    ]
    checks = [is_one_pair(evidence), works(rule, evidence.totals)]
    checks += [eased(check, goal) for check in asked]
    if not goal.must_win:
        checks.append(_is_no_worse(rule, evidence))
    return checks


def time_checks(
    rule: Rule, gathered: Gathered, state: RolloutState, comparison: Comparison, goal: Goal
) -> list[Check]:
    """Return the checks of how long the experiment has lasted; none where nothing is asked.

    Args:
        rule: The rule.
        gathered: Evidence that is whole, and its moment.
        state: Since when the experiment runs.
        comparison: Where it was won in time, nothing expires.
        goal: What comes next.
    """
    days = (gathered.as_of - state.began) / timedelta(days=1)
    checks = []
    if rule.min_days > 0:
        name, said = "lasts long enough", f"It has lasted {days:,.1f} of {rule.min_days:g} days."
        figures = {"days": days, "needed": rule.min_days}
        if days >= rule.min_days:
            checks.append(passed(name, said, **figures))
        else:
            checks.append(eased(failed(name, said, **figures), goal))
    if comparison.is_proof and _was_in_time(rule, gathered, state, comparison):
        return checks
    if rule.max_days is not None:
        won = "had not won by then" if comparison.is_proof else "has not won"
        said = f"{days:,.1f} of {rule.max_days:g} days have passed, and it {won}"
        checks.append(_in_time(rule, said, days, rule.max_days, days > rule.max_days))
    if comparison.is_proof:
        return checks
    if rule.max_blocks is not None and gathered.primary is not None:
        seen = sum(block.z is not None for block in gathered.primary.blocks)
        said = f"{seen:,} of {rule.max_blocks:,} {block_name(rule)} have passed, and it has not won"
        checks.append(_in_time(rule, said, seen, rule.max_blocks, seen >= rule.max_blocks))
    return checks


def _was_in_time(
    rule: Rule, gathered: Gathered, state: RolloutState, comparison: Comparison
) -> bool:
    """Return whether it was won, for the first time, before the experiment was over."""
    if rule.max_days is None or comparison.crossed is None or gathered.primary is None:
        return True
    hours = rule.label_window_hours + block_hours(rule, gathered.primary)
    known = comparison.crossed + timedelta(hours=hours)
    return known - state.began <= timedelta(days=rule.max_days)


def _in_time(rule: Rule, said: str, passed_so_far: float, most: float, is_over: bool) -> Check:
    name, figures = "still in time", {"passed": passed_so_far, "most": most}
    if not is_over:
        return passed(name, f"{said} yet.", **figures)
    if rule.on_expiry == "withdraw":
        return make_check(name, "failed", "rollback", f"{said}.", figures)
    return failed(name, f"{said}: no more is looked at.", **figures)


def _blocks_are_long(rule: Rule, evidence: Evidence) -> list[Check]:
    """Check that blocks resemble their neighbours no more than the comparison allows for."""
    from serving.statistics.block_length import block_length

    name, block = "blocks are long enough", block_name(rule, 1)
    values = [block.z for block in evidence.blocks if block.z is not None]
    if len(values) < rule.min_blocks:
        return []  # nothing is compared yet, which holds already
    with np.errstate(all="ignore"):  # absurd figures become unknown
        found = block_length(np.array(values, dtype=np.float64))
    figures, ratio = found.to_json(), found.variance_ratio
    if found.too_short is None or ratio is None or not math.isfinite(ratio):
        said = f"Whether a {block} resembles the one before it is not known."
        return [unknown(name, said, **figures)]
    if not found.too_short:
        said = f"No {block} is shown to resemble the one before it more than is allowed for."
        return [passed(name, said, **figures)]
    said = (
        f"A {block} resembles the one before it, so {block_name(rule)} pretend to be more than "
        f"they are. Declare {_longer(rule)}."
    )
    return [failed(name, said, **figures)]


def _longer(rule: Rule) -> str:
    if rule.block_size is not None:
        return f"blocks of {2 * rule.block_size:,} decisions"
    longer = {"hour": "blocks by 'day'", "day": "blocks by 'week'"}
    return longer.get(rule.block, "blocks by 'count', of more decisions than a week has")


def _is_no_worse(rule: Rule, evidence: Evidence) -> Check:
    """Check that a challenger that need not have won yet has not lost either."""
    name = "challenger is no worse"
    pairs = [
        (block, value)
        for block in evidence.blocks
        for value in [advantage(block.champion_loss, block.challenger_loss, rule, effect=0.0)]
        if value is not None
    ]
    comparison = compared(
        [block for block, _ in pairs],
        [-value for _, value in pairs],
        alpha=rule.alpha,
        fewest=rule.min_blocks,
        planned=PLANNED * rule.min_blocks,
        effective=True,
    )
    if not comparison.is_proof:
        return passed(name, "It is not shown to be worse than the champion.")
    last = comparison.bounds[-1]
    figures = {"mean": last.mean, "lower": last.lower, "log_e": last.log_e}
    said = f"Over {block_name(rule)}, it is worse than the champion by {last.mean:.4g}"
    return failed(name, f"{said}, beyond chance.", **figures)
