"""This module judges evidence by a rule: promote, hold or rollback, with reasons; it is pure.

Every check allows one of the three, and the worst wins: rollback, then hold, then promote. So
promotion needs every check to pass, and nothing that is missing can bring it about.

The verdict looks at the bound as it stands after the newest block, not at whether it ever was above
zero. Both keep the chance of a false promotion, but Choe and Ramdas' null is about the average so
far: a challenger that was ahead once and no longer is should not replace anything. When the bound
was first above zero is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from headrace.content import canonical_json
from headrace.errors import DataError
from serving._check import Action, Check, failed, passed, rounded, unknown
from serving._checks import has_outcomes, has_scores, is_enough, is_fresh, is_one_pair, works
from serving._evidence_document import Evidence
from serving._rule_text import METRIC_NAMES
from serving._sequences import block_sequence
from serving._verdict import FORMAT, Bound, Verdict
from serving._wholeness import is_whole
from serving.rule import Rule

__all__ = ["Action", "Bound", "Check", "Verdict", "judge", "replay"]

_WORST_FIRST: tuple[Action, ...] = ("rollback", "hold", "promote")
# the bound is tightest at twice the fewest blocks: simulated power from 20 to 60 blocks is flat
# around it
_PLANNED = 2


def judge(rule: Rule, evidence: Evidence) -> Verdict:
    """Return what the rule says of the evidence; the same for the same, and never an error.

    Args:
        rule: The rule that the evidence was collected for; with any other it is held.
        evidence: Figures may be missing, not finite or of a wrong type: then the verdict is hold.
    """
    whole = is_whole(rule, evidence)
    checks = [whole, works(rule, evidence.totals)]
    bounds: tuple[Bound, ...] = ()
    crossed = None
    if whole.state == "passed":
        bounds = _bounds(rule, evidence)
        crossed = next((bound.start for bound in bounds if _is_proof(rule, bound)), None)
        checks += [
            is_one_pair(evidence),
            has_outcomes(rule, evidence.totals),
            has_scores(rule, evidence.totals),
            is_enough(rule, evidence),
            is_fresh(rule, evidence),
            _is_better(rule, bounds, crossed),
        ]
    return Verdict(
        rule=rule,
        evidence=evidence,
        action=worst(check.action for check in checks),
        checks=tuple(checks),
        bounds=bounds,
        crossed=crossed,
    )


def worst(actions: Any) -> Action:
    """Return the worst of some actions, in whatever order they come; hold when there are none."""
    given = set(actions)
    return next((action for action in _WORST_FIRST if action in given), "hold")


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
    again = verdict.trace()
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
            f"{trace.get('action')!r}, its rule and evidence say {verdict.action!r}.",
            remedy="The trace was changed, or written by another version: collect the evidence "
            "again and judge that.",
        )
    return verdict


def _bounds(rule: Rule, evidence: Evidence) -> tuple[Bound, ...]:
    blocks = [block for block in evidence.blocks if block.z is not None]
    if len(blocks) < rule.min_blocks:
        return ()
    values = np.array([block.z for block in blocks], dtype=np.float64)
    with np.errstate(all="ignore"):  # absurd figures become unknown bounds, not warnings
        known = block_sequence(values, alpha=rule.alpha, planned=_PLANNED * rule.min_blocks)
    return tuple(
        Bound(
            start=blocks[at].start,
            mean=rounded(float(known.mean[at])),
            lower=rounded(float(known.lower[at])),
            log_e=rounded(float(known.log_e[at])),
        )
        for at in range(rule.min_blocks - 1, len(blocks))
    )


def _is_proof(rule: Rule, bound: Bound) -> bool:
    # the test as it is published; `lower` is above 0 exactly then
    return bound.log_e is not None and bound.log_e >= -math.log(rule.alpha)


def _is_better(rule: Rule, bounds: tuple[Bound, ...], crossed: datetime | None) -> Check:
    name = "challenger is better"
    if not bounds:
        return unknown(name, f"Too few {rule.block}s to compare the models.")
    last = bounds[-1]
    figures = {"mean": last.mean, "lower": last.lower, "log_e": last.log_e}
    figures["needed"] = -math.log(rule.alpha)
    if last.mean is None or last.lower is None or last.log_e is None:
        return unknown(
            name, f"The {rule.block}s do not vary, or too much to be figures.", **figures
        )
    effect = f" beyond the {rule.min_effect:.4g} asked for" if rule.min_effect else ""
    said = (
        f"the challenger's {METRIC_NAMES[rule.metric]} is {abs(last.mean):.4g} "
        f"{'lower' if last.mean >= 0 else 'higher'}{effect}; the {100 * (1 - rule.alpha):g}% lower "
        f"confidence bound of the advantage is {last.lower:.4g}"
    )
    if _is_proof(rule, last):
        return passed(name, f"Over {rule.block}s, {said}.", **figures)
    before = "" if crossed is None else " It was, for a while, but is no longer."
    return failed(name, f"Over {rule.block}s, {said}, not above 0.{before}", **figures)
