"""This module compares two models over the blocks of evidence, at a level; it is pure.

The verdict looks at the bound as it stands after the newest block, not at whether it ever was above
zero. Both keep the chance of a false promotion, but Choe and Ramdas' null is about the average so
far: a challenger that was ahead once and no longer is should not replace anything. When the bound
was first above zero is recorded. A group-sequential test is taken at its newest look alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from serving._check import Check, failed, passed, rounded, unknown
from serving._evidence_document import Block
from serving._rule_text import METRIC_NAMES, block_name
from serving._sequences import BlockSequence, Vector, block_sequence
from serving._verdict import Bound
from serving.rule import Rule

# the bound is tightest at twice the fewest blocks: simulated power from 20 to 60 blocks is flat
# around it
PLANNED = 2


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """This is what is known of one model's advantage over another, block by block.

    Args:
        alpha: The level that it was judged at.
        bounds: What was known after each block, or at each look; the last one decides.
        crossed: When the bound was above zero for the first time: start of that block, or None.
    """

    alpha: float
    bounds: tuple[Bound, ...] = ()
    crossed: datetime | None = None

    @property
    def is_proof(self) -> bool:
        """Whether there is an advantage as it stands now."""
        return bool(self.bounds) and _is_proof(self.bounds[-1], self.alpha)


def compared(
    blocks: Sequence[Block],
    values: Sequence[float],
    *,
    alpha: float,
    fewest: int,
    planned: int,
    looks: int | None = None,
    effective: bool = False,
) -> Comparison:
    """Return what is known after each block, from the fewest on.

    Args:
        blocks: Closed blocks in order, of which the values are.
        values: The advantage in each, finite.
        alpha: The level, above 0 and below 0.5.
        fewest: How many blocks there must be, at least 20 for the theory to hold.
        planned: The number of blocks at which the bound is tightest, or which are the last.
        looks: How often a group-sequential test looks until then; None looks after every block.
        effective: Count as many blocks as they are worth; see `serving._sequences`.
    """
    if len(values) < fewest:
        return Comparison(alpha=alpha)
    known = _sequence(np.array(values, dtype=np.float64), alpha, planned, looks, effective)
    seen = [
        at
        for at in range(fewest - 1, known.mean.size)
        if looks is None or math.isfinite(known.log_e[at])
    ]
    bounds = tuple(
        Bound(
            start=blocks[at].start,
            mean=rounded(float(known.mean[at])),
            lower=rounded(float(known.lower[at])),
            log_e=rounded(float(known.log_e[at])),
        )
        for at in seen
    )
    crossed = next((bound.start for bound in bounds if _is_proof(bound, alpha)), None)
    return Comparison(alpha=alpha, bounds=bounds, crossed=crossed)


def compared_by(
    rule: Rule, blocks: Sequence[Block], *, alpha: float, effective: bool = False
) -> Comparison:
    """Return what a rule's own test says of the challenger.

    Args:
        rule: Says which test, and how many blocks it needs.
        blocks: Closed blocks in order; those without a comparison are left out.
        alpha: The level.
        effective: Count as many blocks as they are worth, which the first verdicts did not.
    """
    pairs = [(block, block.z) for block in blocks if block.z is not None]
    return compared(
        [block for block, _ in pairs],
        [z for _, z in pairs],
        alpha=alpha,
        fewest=rule.min_blocks,
        planned=rule.max_blocks or PLANNED * rule.min_blocks,
        looks=rule.looks,
        effective=effective,
    )


def is_better(rule: Rule, comparison: Comparison, *, level: str = "") -> Check:
    """Check that the challenger is better by what the rule asks, beyond chance.

    Args:
        rule: The rule.
        comparison: Of its challenger, at whatever level.
        level: How the level came about, to be added to the sentence.
    """
    name, alpha = "challenger is better", comparison.alpha
    judged = f" It is {level}." if level else ""
    if not comparison.bounds:
        return unknown(name, f"Too few {block_name(rule)} to compare the models.{judged}")
    last = comparison.bounds[-1]
    figures = {"mean": last.mean, "lower": last.lower, "log_e": last.log_e}
    figures["needed"] = -math.log(alpha)
    if last.mean is None or last.lower is None or last.log_e is None:
        return unknown(
            name, f"The {block_name(rule)} do not vary, or too much to be figures.", **figures
        )
    effect = f" beyond the {rule.min_effect:.4g} asked for" if rule.min_effect else ""
    said = (
        f"the challenger's {METRIC_NAMES[rule.metric]} is {abs(last.mean):.4g} "
        f"{direction(rule, last.mean)}{effect}; the {100 * (1 - alpha):.6g}% lower confidence "
        f"bound of the advantage is {last.lower:.4g}"
    )
    if comparison.is_proof:
        return passed(name, f"Over {block_name(rule)}, {said}.{judged}", **figures)
    before = "" if comparison.crossed is None else " It was, for a while, but is no longer."
    return failed(name, f"Over {block_name(rule)}, {said}, not above 0.{before}{judged}", **figures)


def direction(rule: Rule, advantage: float) -> str:
    """Return whether the figure of a model with that advantage is lower or higher."""
    return "lower" if (rule.is_better == "lower") == (advantage >= 0) else "higher"


def _sequence(
    values: Vector, alpha: float, planned: int, looks: int | None, effective: bool
) -> BlockSequence:
    with np.errstate(all="ignore"):  # absurd figures become unknown bounds, not warnings
        if looks is None:
            return block_sequence(values, alpha=alpha, planned=planned, effective=effective)
        from serving.statistics.group_sequential import group_sequence

        return group_sequence(values, alpha=alpha, looks=looks, max_blocks=planned)


def _is_proof(bound: Bound, alpha: float) -> bool:
    # the test as it is published; `lower` is above 0 exactly then
    return bound.log_e is not None and bound.log_e >= -math.log(alpha)
