"""This module compares the arms of a randomised design, block by block; pure arithmetic on arrays.

A unit belongs to the arm that it was first dealt to, whoever then answered (intention to treat):
leaving out what a challenger failed to answer would leave it the easy ones. It counts once, with
the mean of its decisions in the block in which it was first dealt. A unit that comes back meets the
same model, with the same luck: if it counted in every block, blocks would not be independent, and a
draw of better units would pass for a better model, with more certainty each day.

Means are weighted by the inverse of the chance with which the unit was dealt so (Hájek, "Comment on
an essay by D. Basu", 1971), so that shares that change within a block favour no arm; from block to
block, each difference is of units of the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from serving._block_spans import Flags, Spans, Times, Vector, block_spans, count_spans
from serving._blocks import advantage, compared
from serving._evidence_document import Arm, Block, DesignEffect
from serving._evidence_rows import Rows
from serving._losses import losses, takes_outcome, takes_score
from serving.rule import Rule
from serving.statistics.cuped import cuped_blocks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """These are the decisions that were dealt to either arm, in the order they were made.

    Args:
        at_us: When, in microseconds since 1970 UTC.
        arm: 0 for the champion, 1 for the challenger.
        first: Place of the first decision of its unit; -1 where that was dealt to a third model.
        chance: With which it was dealt so.
        labelled: Whether an outcome with a value was known in time, or is taken for 0.
        censored: Whether an outcome that is null was known in time.
        filled: Whether there is no outcome, and the rule takes it for 0.
        unusable: Labelled, but the metric cannot take the outcome or the score, or the outcome was
            known before the decision.
        failed: Whether the challenger was asked and failed.
        missing: Whether the challenger was not asked for what was its own.
        value: Outcome, or loss of the answer that was given; meaningless where not labelled.
        covariate: What was known before; NaN where nothing was.
    """

    at_us: Times
    arm: Times
    first: npt.NDArray[np.intp]
    chance: Vector
    labelled: Flags
    censored: Flags
    filled: Flags
    unusable: Flags
    failed: Flags
    missing: Flags
    value: Vector
    covariate: Vector

    @classmethod
    def of(cls, rows: Rows, rule: Rule) -> Dealt:
        """Take the decisions that could have been dealt to either model, and sort out units."""
        chosen = _could_be_either(rows, rule)
        arm = rows["arm"][chosen].astype(np.int64)
        _, first, inverse = np.unique(rows["unit"][chosen], return_index=True, return_inverse=True)
        dealt = arm < 2
        place = np.where(dealt, np.cumsum(dealt) - 1, -1)  # among those of the two arms
        known = rows["known"][chosen][dealt].astype(bool)
        outcome = rows["outcome"][chosen][dealt].astype(np.float64)
        answered = rows["answered"][chosen][dealt].astype(np.float64)
        censored = rows["censored"][chosen][dealt].astype(bool)
        filled = ~known if rule.missing_outcomes == "zero" else np.zeros_like(known)
        outcome = np.where(filled, 0.0, outcome)
        labelled = (known | filled) & ~censored
        early = rows.get("early", np.zeros(rows["at_us"].size, dtype=bool))
        # what was known before a decision is no outcome of it
        fits = takes_outcome(outcome, rule) & ~early[chosen][dealt].astype(bool)
        if rule.metric != "outcome":
            fits &= takes_score(answered, rule)
        failed = rows["failed"][chosen][dealt].astype(bool)
        covariate = rows.get("covariate", np.full(rows["at_us"].size, np.nan))
        return cls(
            at_us=rows["at_us"][chosen][dealt].astype(np.int64),
            arm=arm[dealt],
            first=place[first[inverse]][dealt].astype(np.intp),
            chance=rows["chance"][chosen][dealt].astype(np.float64),
            labelled=labelled,
            censored=censored,
            filled=filled,
            unusable=labelled & ~fits,
            failed=failed,
            missing=rows["stood_in"][chosen][dealt].astype(bool) & ~failed,
            value=losses(outcome, answered, rule),
            covariate=covariate[chosen][dealt].astype(np.float64),
        )

    @property
    def begins(self) -> Flags:
        """Which decisions are the first ones of their units."""
        result: Flags = self.first == np.arange(self.first.size)
        return result


@dataclass(frozen=True, kw_only=True)
class Compared:
    """This is what the arms of a randomised design say.

    Args:
        blocks: The closed blocks that have decisions, in order.
        arms: The champion's arm and the challenger's, over all closed blocks.
        design: What counting decisions would pretend.
        inside: Which decisions are in closed blocks.
        removed: Share of the variance within blocks that the covariate removed, or None.
    """

    blocks: tuple[Block, ...]
    arms: tuple[Arm, ...]
    design: DesignEffect
    inside: Flags
    removed: float | None


def compare_arms(
    dealt: Dealt, rule: Rule, *, models: tuple[str, str], known_until: int
) -> Compared:
    """Return the blocks of a randomised design and the arms in them.

    Args:
        dealt: The decisions.
        rule: How they are compared.
        models: The champion and the challenger.
        known_until: The last moment whose decisions are mature, in microseconds since 1970.
    """
    spans = _spans(dealt, rule)
    inside = (spans.ends <= known_until)[spans.index]
    counts = _that_count(dealt, spans) & inside
    unit, value = _units(dealt, counts)
    figures = cuped_blocks(
        spans.index[unit], dealt.arm[unit], value, dealt.covariate[unit], 1 / dealt.chance[unit]
    )
    means = np.full((spans.starts.size, 2), np.nan)
    means[: len(figures.means)] = figures.means
    blocks = _blocks(dealt, spans, rule, inside=inside, counts=counts, means=means)
    return Compared(
        blocks=blocks,
        arms=tuple(_arm(model, dealt, inside, unit, number) for number, model in enumerate(models)),
        design=_design(dealt, counts, blocks, rule),
        inside=inside,
        removed=figures.removed if rule.covariate and math.isfinite(figures.removed) else None,
    )


def left_out(rows: Rows, rule: Rule, known_until: int) -> dict[str, int]:
    """Return how many mature decisions are in no arm, by the reason."""
    mature, dealt = rows["at_us"] <= known_until, rows["dealt"].astype(bool)
    without_unit = dealt & bool(rule.unit) & ~rows["has_unit"].astype(bool)
    left = {
        "not dealt": ~dealt,
        "without a unit": without_unit,
        "without a chance": dealt & ~without_unit & ~_has_chance(rows),
    }
    return {reason: int((flags & mature).sum()) for reason, flags in left.items()}


def _could_be_either(rows: Rows, rule: Rule) -> npt.NDArray[np.intp]:
    """Return the places of decisions that both models had a chance of."""
    chosen = rows["dealt"].astype(bool) & _has_chance(rows)
    if rule.unit:
        chosen &= rows["has_unit"].astype(bool)
    return np.flatnonzero(chosen)


def _has_chance(rows: Rows) -> Flags:
    chance = rows["chance"].astype(np.float64)
    result: Flags = ((chance > 0) & (chance <= 1)) | (rows["arm"] == 2)
    return result


def _spans(dealt: Dealt, rule: Rule) -> Spans:
    if rule.block != "count":
        return block_spans(dealt.at_us, rule)
    return count_spans(dealt.at_us, rule.block_size or 1, [np.flatnonzero(dealt.begins)])


def _that_count(dealt: Dealt, spans: Spans) -> Flags:
    """Return which decisions count: labelled, and in the block in which their unit was new."""
    of_arm = dealt.first >= 0
    is_new = of_arm & (spans.index[np.where(of_arm, dealt.first, 0)] == spans.index)
    result: Flags = dealt.labelled & ~dealt.unusable & is_new
    return result


def _units(dealt: Dealt, counts: Flags) -> tuple[npt.NDArray[np.intp], Vector]:
    """Return the units that count, as the places of their first decisions, and their means."""
    size, where = dealt.first.size, dealt.first[counts]
    sums = np.bincount(where, weights=dealt.value[counts], minlength=size).astype(np.float64)
    number = np.bincount(where, minlength=size)
    unit = np.flatnonzero(number)
    return unit, sums[unit] / number[unit]


def _blocks(
    dealt: Dealt, spans: Spans, rule: Rule, *, inside: Flags, counts: Flags, means: Vector
) -> tuple[Block, ...]:
    size = spans.starts.size
    flags = {
        "decisions": inside,
        "labelled": dealt.labelled,
        "censored": dealt.censored,
        "paired": counts,
        "shadow_errors": dealt.failed,
        "shadow_missing": dealt.missing,
        "filled": dealt.filled,
    }
    numbers = {
        name: np.bincount(spans.index[each & inside], minlength=size)
        for name, each in flags.items()
    }
    made = []
    for b in np.flatnonzero(numbers["decisions"]):
        champion, challenger = (None if np.isnan(mean) else float(mean) for mean in means[b])
        made.append(
            Block(
                start=_EPOCH + timedelta(microseconds=int(spans.starts[b])),
                champion_loss=champion,
                challenger_loss=challenger,
                z=advantage(champion, challenger, rule),
                **{name: int(each[b]) for name, each in numbers.items()},
            )
        )
    return tuple(made)


def _arm(model: str, dealt: Dealt, inside: Flags, unit: npt.NDArray[np.intp], number: int) -> Arm:
    mine = inside & (dealt.arm == number)
    counted = unit[dealt.arm[unit] == number]
    return Arm(
        model=model,
        decisions=int(mine.sum()),
        units=int((mine & dealt.begins).sum()),
        known=int((mine & (dealt.labelled | dealt.censored) & ~dealt.filled).sum()),
        counted=counted.size,
        covariates=int(np.isfinite(dealt.covariate[counted]).sum()),
    )


def _design(dealt: Dealt, counts: Flags, blocks: tuple[Block, ...], rule: Rule) -> DesignEffect:
    """Return what the difference of the arms would be worth if decisions were independent."""
    value, first = dealt.value[counts], dealt.first[counts]
    arm, weight = dealt.arm[first], 1 / dealt.chance[first]
    means: list[float | None] = []
    errors = []
    for number in (0, 1):
        y, w = value[arm == number], weight[arm == number]
        mean = float((w @ y) / w.sum()) if y.size > 1 else None
        means.append(mean)
        errors.append(0.0 if mean is None else float(((w * (y - mean)) ** 2).sum() / w.sum() ** 2))
    share = 1.0
    if rule.effect == "relative":
        share += -rule.min_effect if rule.is_better == "lower" else rule.min_effect
    error = math.sqrt(share**2 * errors[0] + errors[1])
    values = np.array([block.z for block in blocks if block.z is not None], dtype=np.float64)
    pooled = advantage(means[0], means[1], rule)
    return compared(value.size, values, error if error > 0 else None, pooled)
