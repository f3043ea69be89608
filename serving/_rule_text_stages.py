"""This module says a rule's guardrails and stages in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving._rule_words import block_name, columns_named, margin
from serving.rule_guardrails import (
    LIVE,
    Calibration,
    ErrorRate,
    FeatureDrift,
    Guardrail,
    LabelCoverage,
    Latency,
    SampleRatio,
    SliceGap,
    asked_in_any_case,
)
from serving.rule_stages import FEWEST_WATCHED

if TYPE_CHECKING:
    from serving.rule import Rule
    from serving.rule_stages import Approval, Gate, Ramp, Watch

_BREACHES = {
    "rollback": "it is withdrawn, or rolled back where it has been promoted and is watched",
    "hold": "it is held",
    "invalidate": "the evidence is thrown away, and the experiment begins anew in shadow",
}


def guardrail_lines(rule: Rule) -> Iterator[str]:
    """Yield a sentence a guardrail."""
    for guardrail in rule.guardrails:
        yield f"Guardrail: {_guardrail(rule, guardrail)}"
    for asked in asked_in_any_case(rule):
        yield f"In any case, while traffic is dealt: {_guardrail(rule, asked)}"


def stage_lines(rule: Rule) -> Iterator[str]:
    """Yield what is said of gate, ramp, approval and watch."""
    if rule.gate is not None:
        yield _gate(rule.gate)
    yield _unramped(rule) if rule.ramp is None else _ramp(rule.ramp)
    if rule.approval is not None:
        yield _approval(rule.approval)
    if rule.watch is not None:
        yield _watch(rule, rule.watch)


def _guardrail(rule: Rule, guardrail: Guardrail) -> str:
    then = _BREACHES[guardrail.on_breach]
    if guardrail.metric in LIVE:
        then += " (looked at every second)"
    if isinstance(guardrail, ErrorRate):
        return (
            f"when more than {guardrail.max:.4g} of its answers are errors, no numbers or too "
            f"late, beyond chance (at most {guardrail.alpha:g} for one within that limit), {then}."
        )
    if isinstance(guardrail, Latency):
        return (
            f"when more than {1 - guardrail.quantile:.4g} of its answers take more than "
            f"{guardrail.max_ms:g} ms, beyond chance (at most {guardrail.alpha:g} for one within "
            f"that limit), {then}."
        )
    if isinstance(guardrail, Calibration):
        return (
            f"when its probabilities miss what happened by more than {guardrail.max:.4g} (expected "
            f"calibration error over ten bins), {then}; until {guardrail.min_decisions:,} "
            "decisions with an outcome can tell, it is held."
        )
    if isinstance(guardrail, SliceGap):
        return _slice_gap(rule, guardrail, then)
    if isinstance(guardrail, FeatureDrift):
        which = f"of {columns_named(guardrail.features)}" if guardrail.features else "that it takes"
        return (
            f"when a feature {which} is distributed otherwise than in training (population "
            f"stability index above {guardrail.max:.4g}), {then}; until "
            f"{guardrail.min_decisions:,} decisions can tell, it is held."
        )
    if isinstance(guardrail, LabelCoverage):
        return (
            "when the shares of known outcomes of the two models differ by more than "
            f"{guardrail.max_gap:.4g}, beyond chance (at most {guardrail.alpha:g} within that), "
            f"{then}."
        )
    return _sample_ratio(guardrail, then)


def _slice_gap(rule: Rule, guardrail: SliceGap, then: str) -> str:
    looks = (
        "and so it is while it only looks so"
        if guardrail.on_breach == "hold"
        else "and while it only looks so, it is held"
    )
    return (
        f"when in a slice by '{guardrail.by}' it is worse than the champion by more than "
        f"{margin(rule, guardrail.max_drop)}, beyond chance (at most {guardrail.alpha:g} for all "
        f"slices together, by Holm's method), {then}, {looks}. Slices of fewer than "
        f"{guardrail.min_decisions:,} decisions are not judged."
    )


def _sample_ratio(guardrail: SampleRatio, then: str) -> str:
    return (
        "when the models did not meet the shares of the units that were dealt to them, beyond "
        f"chance (at most {guardrail.alpha:g} for shares as dealt), {then}."
    )


def _gate(gate: Gate) -> str:
    how = {
        "snips": "self-normalised inverse propensities",
        "dr": "a cross-fitted, doubly robust estimate",
    }[gate.estimator]
    less = f", {gate.max_drop:.4g} times that conceded" if gate.max_drop else ""
    return (
        "Before it answers anybody, logged decisions must say that it would have done no worse "
        f"than what was logged{less}: by {how}, with scores from {gate.threshold:g} on as one "
        f"decision and those below as the other, at least {gate.min_effective:,} effective "
        f"decisions, and a chance of at most {gate.alpha:g} to pass for one that is worse."
    )


def _unramped(rule: Rule) -> str:
    stays = "It answers" if rule.design == "randomised" else "It stays in shadow, or at"
    return f"{stays} the share that people or a deployment give it, until it is promoted."


def _ramp(ramp: Ramp) -> str:
    shares = [f"{step:.6g}" for step in ramp.steps[:-1]]
    begins = (
        "Once it has won in shadow"
        if ramp.begins == "won"
        else "Once it is shown to work in shadow"
    )
    unit = f"units made by {columns_named(ramp.unit)}" if ramp.unit else "decisions"
    return (
        f"{begins}, it answers a share of the {unit}: {', then '.join(shares)}, then all of them, "
        f"which is the promotion. Each share stands for at least {ramp.hold_hours:g} hours and "
        f"{ramp.min_decisions:,} decisions that it answered. Where it has not answered within "
        f"{ramp.patience_ms:g} ms, the champion does."
    )


def _approval(approval: Approval) -> str:
    who = columns_named(approval.by) if approval.by else "Somebody"
    if len(approval.by) > 1:
        who = f"One of {who}"
    when = (
        "the first share, and again the promotion" if approval.before == "ramp" else "the promotion"
    )
    return (
        f"{who} must approve {when}; whoever put the challenger up or registered it may not. Names "
        "are those of the setting 'actor', which nobody verifies."
    )


def _watch(rule: Rule, watch: Watch) -> str:
    begins = (
        f"After a promotion the old champion goes on in reverse shadow for {watch.blocks:,} "
        f"{block_name(rule, watch.blocks)}"
    )
    if rule.metric == "outcome":
        return f"{begins}; an outcome cannot be compared there, so the guardrails alone watch."
    if watch.blocks < FEWEST_WATCHED:
        return (
            f"{begins}; fewer than {FEWEST_WATCHED} are too few to compare the models, so the "
            "guardrails alone watch."
        )
    more = (
        f" by more than {margin(rule, watch.max_drop, whose='its own')}" if watch.max_drop else ""
    )
    return (
        f"{begins}, and answers again when the new one is worse{more}, beyond chance (at most "
        f"{watch.alpha:g} for one that is not)."
    )
