"""This module asks whether evidence is of its types, adds up, and was collected for the rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from serving._blocks import advantage
from serving._check import Check, is_count, is_moment, passed, unknown
from serving._evidence_document import Arm, Block, DesignEffect, Evidence, Totals
from serving._rule_text import block_name
from serving.rule import Rule

_SUMMED = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")
_LATER = ("filled",)
_FIGURES = ("champion_loss", "challenger_loss", "z")
_LOSSES = ("log_loss", "brier", "mae", "mse", "pinball")
_SHARES = ("auc", "ndcg")


def is_whole(rule: Rule, evidence: Evidence) -> Check:
    """Check that the evidence was collected for this rule, adds up, and is of the right types."""
    name = "evidence is whole"
    for problem in _problems(rule, evidence):
        return unknown(name, f"The evidence cannot be used: {problem}.")
    blocks, decisions = len(evidence.blocks), evidence.totals.decisions
    return passed(
        name,
        f"The evidence was collected for this rule and adds up: {decisions:,} decisions in "
        f"{blocks:,} {block_name(rule)}.",
        blocks=blocks,
        decisions=decisions,
    )


def _problems(rule: Rule, evidence: Evidence) -> Iterator[str]:
    if not isinstance(evidence.totals, Totals) or not isinstance(evidence.blocks, tuple):
        yield "it has no totals or no blocks"
    if evidence.rule != rule.hash:
        yield f"it was collected for the rule {str(evidence.rule)[:12]}, not {rule.hash[:12]}"
    if not is_moment(evidence.as_of):
        yield "the moment it was collected is not known"
    for each in fields(Totals):
        if not is_count(getattr(evidence.totals, each.name, None)):
            yield f"the total '{each.name}' is no count"
    yield from _design_problems(evidence.design)
    for number, block in enumerate(evidence.blocks, start=1):
        yield from (f"block {number} {problem}" for problem in _block_problems(rule, block))
    for number, (one, other) in enumerate(pairwise(evidence.blocks), start=2):
        if not one.start < other.start:
            yield f"block {number} does not come after the one before"
    for name in (*_SUMMED, *_LATER):
        if sum(getattr(block, name) for block in evidence.blocks) != getattr(evidence.totals, name):
            yield f"the blocks' '{name}' do not add up to the total: blocks are missing or changed"
    if not isinstance(evidence.odd, Mapping) or not all(map(is_count, evidence.odd.values())):
        yield "what is odd about it has no counts"
    if not _is_figure(evidence.removed):
        yield "what its covariate removed is no finite number"
    yield from _arm_problems(rule, evidence)


def _design_problems(design: DesignEffect) -> Iterator[str]:
    figures = [getattr(design, name, "") for name in ("effective", "request_z", "block_z")]
    if not all(map(_is_figure, figures)) or not is_count(getattr(design, "requests", None)):
        yield "its design effect has a figure that is no finite number"


def _is_figure(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _arm_problems(rule: Rule, evidence: Evidence) -> Iterator[str]:
    if not isinstance(evidence.arms, tuple) or len(evidence.arms) not in (0, 2):
        yield "it has neither two arms nor none"
        return
    if evidence.arms and rule.design != "randomised":
        yield "it has arms, and the rule compares in pairs"
    for arm in evidence.arms:
        if not isinstance(arm, Arm) or not isinstance(arm.model, str):
            yield "an arm is none"
            return
        for each in fields(Arm):
            if each.name != "model" and not is_count(getattr(arm, each.name)):
                yield f"the '{each.name}' of an arm is no count"
                return
        if arm.known > arm.decisions or not arm.covariates <= arm.counted:
            yield "an arm knows more outcomes or covariates than there are"
    if evidence.arms and sum(a.decisions for a in evidence.arms) != evidence.totals.decisions:
        yield "the arms do not add up to the total"


def _block_problems(rule: Rule, block: Block) -> Iterator[str]:
    if not isinstance(block, Block):
        yield "is no block"
    if not is_moment(block.start):
        yield "has no start"
    for name in (*_SUMMED, *_LATER):
        if not is_count(getattr(block, name)):
            yield f"has a '{name}' that is no count"
    if not block.paired <= block.labelled <= block.decisions - block.censored:
        yield "pairs or labels more decisions than there are"
    if block.filled > block.labelled or (block.filled and rule.missing_outcomes != "zero"):
        yield "fills in outcomes that it may not"
    yield from _figure_problems(rule, block)


def _figure_problems(rule: Rule, block: Block) -> Iterator[str]:
    means: Sequence[float | None] = (block.champion_loss, block.challenger_loss, block.z)
    if block.paired == 0:
        if means != (None, None, None):
            yield "has losses of no decisions"
        return
    if _may_lack(rule, means):
        means = [mean for mean in means if mean is not None]
    finite = [mean for mean in means if isinstance(mean, float) and math.isfinite(mean)]
    if len(finite) < len(means):
        yield "has a loss that is not a finite number"
        return
    for figure in finite[:2]:
        if (rule.metric in _LOSSES and rule.covariate is None and figure < 0) or (
            rule.metric in _SHARES and not 0 <= figure <= 1
        ):
            said = "loss below 0" if rule.metric in _LOSSES else "figure that is no share"
            yield f"has a {said}"
            return
    if len(finite) < len(_FIGURES):
        return
    ours, theirs, z = finite
    expected = advantage(ours, theirs, rule)
    size = abs(ours) + abs(theirs) + (rule.min_effect if rule.effect == "absolute" else 0.0)
    if expected is None or not math.isclose(z, expected, rel_tol=1e-9, abs_tol=1e-9 * size):
        yield "has a difference that its losses do not have"


def _may_lack(rule: Rule, means: Sequence[float | None]) -> bool:
    """Return whether a block of decisions that count may be without these figures."""
    if means[2] is not None:
        return False
    if rule.design == "randomised":  # an arm is empty
        return None in means[:2]
    return rule.metric == "auc" and means == (None, None, None)  # an outcome did not occur
