"""This module asks of gathered figures, guardrail by guardrail, what a rule demands; it is pure.

What is proven to be broken does what the guardrail's `on_breach` says. What looks broken and may be
chance holds, and so does what cannot be told: figures that are missing, not finite, of another type
or that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from serving._check import Check, passed
from serving.rollout._check_arms import is_dealt_as_meant, is_labelled_alike
from serving.rollout._check_calibration import is_calibrated
from serving.rollout._check_drift import is_as_trained
from serving.rollout._check_gate import may_answer
from serving.rollout._check_slices import keeps_slices
from serving.rollout._check_working import is_fast, works
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import (
    LIVE,
    Calibration,
    ErrorRate,
    FeatureDrift,
    Guardrail,
    LabelCoverage,
    Latency,
    SampleRatio,
    guardrails_at,
)

_OF_OUTCOMES = ("calibration", "slice_gap")
_OF_ARMS = ("label_coverage", "sample_ratio")


def guardrail_checks(rule: Rule, gathered: Gathered, state: RolloutState) -> list[Check]:
    """Return the checks of a rule's guardrails, in its order, and of its gate in shadow.

    It never raises, whatever the figures are.

    Args:
        rule: The rule.
        gathered: Its figures; with the scope "live" only the guardrails that need no outcome are
            checked.
        state: Where the challenger stands; in a watch the new champion is checked.
    """
    is_live = gathered.scope == "live"
    model = subject(state)
    checks = [
        _checked(guardrail, gathered, rule, state.stage, model)
        for guardrail in guardrails_at(rule, state.stage)
        if guardrail.metric in LIVE or not is_live
    ]
    if rule.gate is not None and state.stage == "shadow" and not is_live:
        checks.append(may_answer(rule.gate, _counts(gathered, "gate", ""), model))
    return checks


def subject(state: RolloutState) -> str:
    """Return whose guardrails they are: the challenger's, and in a watch the new champion's."""
    return state.champion if state.stage == "watch" else state.challenger


def is_asked(guardrail: Guardrail, rule: Rule, stage: str) -> bool:
    """Return whether a guardrail can be broken at a stage.

    Arms are there while traffic is dealt. Where the answer makes the outcome, none can be known of
    a challenger that answers nobody.

    Args:
        guardrail: Which one.
        rule: Whose it is.
        stage: Where the challenger stands.
    """
    if guardrail.metric in _OF_ARMS:
        return stage == "traffic"
    if guardrail.metric in _OF_OUTCOMES and rule.design == "randomised":
        in_pairs = guardrail.metric == "slice_gap" and rule.metric == "outcome"
        return stage == "traffic" or (stage == "watch" and not in_pairs)
    return True


def _checked(guardrail: Guardrail, gathered: Gathered, rule: Rule, stage: str, model: str) -> Check:
    of = getattr(guardrail, "by", "")
    if not is_asked(guardrail, rule, stage):
        name = f"guardrail {guardrail.metric} {of}".strip()
        return passed(name, f"{_why_not(guardrail, stage)}: there is nothing to judge.")
    counts = _counts(gathered, guardrail.metric, of)
    if isinstance(guardrail, ErrorRate):
        return works(guardrail, counts, model)
    if isinstance(guardrail, Latency):
        return is_fast(guardrail, counts, model)
    if isinstance(guardrail, Calibration):
        return is_calibrated(guardrail, counts, model)
    if isinstance(guardrail, FeatureDrift):
        return is_as_trained(guardrail, counts, model)
    if isinstance(guardrail, LabelCoverage):
        return is_labelled_alike(guardrail, counts)
    if isinstance(guardrail, SampleRatio):
        return is_dealt_as_meant(guardrail, counts)
    return keeps_slices(guardrail, counts, model)


def _why_not(guardrail: Guardrail, stage: str) -> str:
    if guardrail.metric in _OF_OUTCOMES:
        nobody = "challenger answers nobody yet" if stage == "shadow" else "old one nobody any more"
        return f"The answer makes the outcome, and the {nobody}"
    where = "yet" if stage == "shadow" else "any more"
    return f"No traffic is dealt to two arms {where}"


def _counts(gathered: Gathered, metric: str, of: str) -> Any:
    for figures in _all(gathered):
        if figures.metric == metric and figures.of == of:
            return figures.counts
    return None


def _all(gathered: Gathered) -> Iterator[Figures]:
    found: Any = gathered.figures
    if isinstance(found, tuple | list):
        yield from (figures for figures in found if isinstance(figures, Figures))
