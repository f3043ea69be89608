"""This module is the way of a challenger: what comes next, and what must be so before; pure.

Shadow, then the steps of a ramp or the share that people gave it, then everything. A ramp goes one
step at a time, up, and its last step is the promotion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from serving._check import Action, Check, failed, is_count, is_moment, make_check, passed, unknown
from serving._checks import works
from serving.rollout._belonging import is_share
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState, Said, person
from serving.rule import Rule
from serving.rule_stages import Ramp
from serving.traffic import BUCKETS

_MOST_TO_TRY = 1000


@dataclass(frozen=True, kw_only=True)
class Goal:
    """This is what comes next if every check allows it.

    Args:
        action: "promote" or "ramp".
        share: What the challenger is given by "ramp"; None for "promote".
        must_win: Whether it has to have won the comparison before.
        number: Which step of the ramp it is, from 1; 0 without one.
    """

    action: Action
    share: float | None = None
    must_win: bool = True
    number: int = 0


def goal_of(rule: Rule, state: RolloutState) -> Goal:
    """Return what comes next for a challenger.

    A share that is none of the steps, as after somebody's hand, is followed by the next larger one.
    """
    ramp = rule.ramp
    if ramp is None or state.stage == "watch":
        return Goal(action="promote")
    share = state.share if is_share(state.share) else 1.0
    # shares are dealt in whole buckets: compared as they are dealt
    after = [step for step in ramp.steps if round(step * BUCKETS) > round(share * BUCKETS)]
    step = after[0] if after else ramp.steps[-1]
    number = ramp.steps.index(step) + 1
    if number == len(ramp.steps):
        return Goal(action="promote", number=number)
    must_win = state.stage == "shadow" and ramp.begins == "won"
    return Goal(action="ramp", share=step, must_win=must_win, number=number)


def eased(check: Check, goal: Goal) -> Check:
    """Return a check of the comparison, which lets a ramp go on that need not have won yet."""
    return check if goal.must_win else postponed(check)


def postponed(check: Check) -> Check:
    """Return a check that is asked of the promotion alone: it lets a ramp go on."""
    if check.action != "hold":
        return check
    sentence = f"{check.sentence} The next share does not wait for it; the promotion does."
    return replace(check, action="ramp", sentence=sentence)


def step_checks(rule: Rule, gathered: Gathered, state: RolloutState, goal: Goal) -> list[Check]:
    """Return the checks of the ramp's present step, and what it allows next; none without one."""
    ramp = rule.ramp
    if ramp is None:
        return [] if rule.design == "paired_shadow" else [_answers_somebody(state)]
    checks = []
    if state.stage == "traffic":
        checks = [_may_be_moved(state), _was_held(ramp, gathered, state), _answered(ramp, gathered)]
    elif not goal.must_win:
        checks = [_was_tried(rule, gathered)]
    if goal.share is not None:
        sentence = (
            f"Next it answers {goal.share:.6g} of the traffic, step {goal.number} of "
            f"{len(ramp.steps)}."
        )
        figures = {"share": goal.share, "step": goal.number}
        checks.append(make_check("ramp", "passed", "ramp", sentence, figures))
    return checks


def approval_checks(rule: Rule, state: RolloutState, goal: Goal) -> list[Check]:
    """Return the check of what a person said to it; none where nobody is asked.

    Before a ramp and before the promotion are two questions: who let it begin has not seen yet what
    it does, so the second is answered while the last share before stands.
    """
    asked = rule.approval
    if asked is None:
        return []
    begins = goal.action == "ramp" and state.stage == "shadow"
    check = _approved(asked.by, asked.before == "ramp", state, goal)
    is_needed = goal.action == "promote" or (asked.before == "ramp" and begins)
    if is_needed or check.figures.get("refused"):
        return [check]
    return [postponed(check)] if asked.before == "promotion" else []


def _approved(by: tuple[str, ...], twice: bool, state: RolloutState, goal: Goal) -> Check:
    name, said = "approved", state.said
    whom = " or ".join(by) or "anybody"
    if said is None:
        return unknown(name, f"Nobody has approved it yet; {whom} may, but nobody who put it up.")
    if not isinstance(said, Said) or not isinstance(said.approved, bool):
        return unknown(name, "What was said to it cannot be read.")
    if not said.approved:
        return failed(name, f"{said.actor} refused it: {said.reason or 'no reason'}", refused=True)
    if not isinstance(state.authors, tuple) or person(said.actor) in map(person, state.authors):
        return failed(name, f"{said.actor} put it up, and so may not approve it.")
    if by and said.actor not in by:
        return failed(name, f"{said.actor} approved it, but may not: {whom} may.")
    if twice and goal.action == "promote" and state.stage == "traffic":
        moments = is_moment(said.at) and is_moment(state.since)
        if not moments or said.at < state.since:
            return unknown(
                name, f"{said.actor} let the ramp go on; the promotion waits for another word."
            )
    return passed(name, f"{said.actor} approved it: {said.reason or 'no reason'}")


def _may_be_moved(state: RolloutState) -> Check:
    name = "traffic is a ramp"
    if state.design == "ramp":
        return passed(name, "Traffic is dealt as a ramp.")
    return failed(name, f"Traffic is dealt by {state.design!r}, which no rule moves.")


def _was_held(ramp: Ramp, gathered: Gathered, state: RolloutState) -> Check:
    name = "step is old enough"
    if not is_moment(state.since) or not is_moment(gathered.as_of):
        return unknown(name, "Since when it has this share is not known.")
    hours = (gathered.as_of - state.since) / timedelta(hours=1)
    figures = {"hours": hours, "needed": ramp.hold_hours}
    said = f"It has had this share for {hours:,.1f} hours; {ramp.hold_hours:g} are asked for."
    return (passed if hours >= ramp.hold_hours else failed)(name, said, **figures)


def _answered(ramp: Ramp, gathered: Gathered) -> Check:
    name, answered = "step has answers", gathered.answered
    if not is_count(answered):
        return unknown(name, "How many decisions it answered at this share is not known.")
    figures = {"answered": answered, "needed": ramp.min_decisions}
    said = (
        f"It answered {answered:,} decisions at this share; {ramp.min_decisions:,} are asked for."
    )
    return (passed if answered >= ramp.min_decisions else failed)(name, said, **figures)


def _was_tried(rule: Rule, gathered: Gathered) -> Check:
    """Check that it works in shadow, over so many tries that one failure would be allowed."""
    name = "works in shadow"
    totals: Any = getattr(gathered.primary, "totals", None)
    check = works(rule, totals)
    if check.state != "passed":
        return unknown(name, "It is not shown to work in shadow.")
    least = min(math.ceil(1 / rule.max_error_rate) if rule.max_error_rate else _MOST_TO_TRY, 1000)
    tried = int(totals.shadow_tried)
    said = f"It was tried {tried:,} times in shadow; {least:,} are asked for before it answers."
    figures = {"tried": tried, "needed": least}
    return (passed if tried >= least else failed)(name, said, **figures)


def _answers_somebody(state: RolloutState) -> Check:
    name = "challenger answers"
    if state.stage == "traffic":
        return passed(name, "The challenger answers a share of the traffic.")
    return failed(name, "It answers nobody, and only what it answers tells: give it a share.")
