"""This module asks whether evidence is of its types, adds up, and was collected for the rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise

from serving._check import Check, is_count, is_moment, passed, unknown
from serving._evidence_document import Block, DesignEffect, Evidence, Totals
from serving.rule import Rule

_SUMMED = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")


def is_whole(rule: Rule, evidence: Evidence) -> Check:
    """Check that the evidence was collected for this rule, adds up, and is of the right types."""
    name = "evidence is whole"
    for problem in _problems(rule, evidence):
        return unknown(name, f"The evidence cannot be used: {problem}.")
    blocks, decisions = len(evidence.blocks), evidence.totals.decisions
    return passed(
        name,
        f"The evidence was collected for this rule and adds up: {decisions:,} decisions in "
        f"{blocks:,} {rule.block}s.",
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
    for name in _SUMMED:
        if sum(getattr(block, name) for block in evidence.blocks) != getattr(evidence.totals, name):
            yield f"the blocks' '{name}' do not add up to the total: blocks are missing or changed"


def _design_problems(design: DesignEffect) -> Iterator[str]:
    figures = [getattr(design, name, "") for name in ("effective", "request_z", "block_z")]
    right = all(f is None or (isinstance(f, float) and math.isfinite(f)) for f in figures)
    if not right or not is_count(getattr(design, "requests", None)):
        yield "its design effect has a figure that is no finite number"


def _block_problems(rule: Rule, block: Block) -> Iterator[str]:
    if not isinstance(block, Block):
        yield "is no block"
    if not is_moment(block.start):
        yield "has no start"
    for name in _SUMMED:
        if not is_count(getattr(block, name)):
            yield f"has a '{name}' that is no count"
    if not block.paired <= block.labelled <= block.decisions - block.censored:
        yield "pairs or labels more decisions than there are"
    means = (block.champion_loss, block.challenger_loss, block.z)
    if block.paired == 0:
        if means != (None, None, None):
            yield "has losses of no decisions"
        return
    finite = [mean for mean in means if isinstance(mean, float) and math.isfinite(mean)]
    if len(finite) < len(means):
        yield "has a loss that is not a finite number"
        return
    ours, theirs, z = finite
    if ours < 0 or theirs < 0:
        yield "has a loss below 0"
    expected = (1 - rule.min_effect) * ours - theirs
    if not math.isclose(z, expected, rel_tol=1e-9, abs_tol=1e-9 * (abs(ours) + abs(theirs))):
        yield "has a difference that its losses do not have"
