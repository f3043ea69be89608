"""This module makes blocks of paired decisions and the models' figures; pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from serving._block_spans import Flags, Spans, Times, Vector, block_spans, count_spans, merged
from serving._evidence_document import Block, DesignEffect
from serving._losses import losses, takes_outcome, takes_score
from serving._rank_figures import auc_difference_error, auc_of_blocks, ndcg_of_lists
from serving.rule import Rule
from serving.statistics.ranks import auc

__all__ = [
    "Arrays",
    "Flags",
    "Spans",
    "Times",
    "Vector",
    "advantage",
    "block_spans",
    "blocks_of",
    "design_effect",
    "losses",
    "spans_of",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """These are the decisions of an experiment, in the order in which they were made.

    Args:
        at_us: When, in microseconds since 1970 UTC.
        shadowed: Whether there is a score of the challenger, usable or not.
        shadow_failed: Whether it is an error or no usable number.
        labelled: Whether an outcome with a value was known in time, or is taken for 0.
        censored: Whether an outcome that is null was known in time.
        filled: Whether there is no outcome, and the rule takes it for 0.
        unusable: Labelled, but the outcome or the champion's score is none the metric can take, or
            the outcome was known before the decision.
        paired: Whether the decision counts.
        outcome: The outcome; meaningless where not labelled.
        champion_loss: Loss of the champion, or its score where the metric is of ranks; meaningless
            where not paired.
        challenger_loss: The same of the challenger.
        lists: Number of the list that was ranked, from 0; -1 where it is none.
    """

    at_us: Times
    shadowed: Flags
    shadow_failed: Flags
    labelled: Flags
    censored: Flags
    filled: Flags
    unusable: Flags
    paired: Flags
    outcome: Vector
    champion_loss: Vector
    challenger_loss: Vector
    lists: Times

    @classmethod
    def of(cls, rows: Mapping[str, npt.NDArray[Any]], rule: Rule) -> Arrays:
        """Sort out which decisions count, and take their losses."""
        outcome = rows["outcome"].astype(np.float64)
        champion = rows["champion"].astype(np.float64)
        challenger = rows["challenger"].astype(np.float64)
        shadowed = rows["shadowed"].astype(bool)
        censored = rows["censored"].astype(bool)
        known = rows["known"].astype(bool)
        filled = np.zeros_like(known) if rule.missing_outcomes != "zero" else ~known
        outcome = np.where(filled, 0.0, outcome)
        labelled = (known | filled) & ~censored
        shadow_failed = shadowed & ~takes_score(challenger, rule)
        # what was known before a decision is no outcome of it
        early = rows.get("early", np.zeros_like(known)).astype(bool)
        fits = takes_score(champion, rule) & takes_outcome(outcome, rule) & ~early
        unusable = labelled & ~fits
        paired = labelled & ~unusable & shadowed & ~shadow_failed
        lists = rows.get("lists", np.full(outcome.size, -1)).astype(np.int64)
        if rule.metric == "outcome":  # it is the same, whoever is asked in shadow
            paired = np.zeros_like(paired)
        if rule.metric == "ndcg":
            scored = takes_score(champion, rule) & shadowed & ~shadow_failed
            paired &= (lists >= 0) & ~np.isin(lists, lists[~scored])
            paired &= np.isin(lists, lists[paired & (outcome > 0)])
        of_ranks = rule.metric in ("auc", "ndcg")
        return cls(
            at_us=rows["at_us"].astype(np.int64),
            shadowed=shadowed,
            shadow_failed=shadow_failed,
            labelled=labelled,
            censored=censored,
            filled=filled,
            unusable=unusable,
            paired=paired,
            outcome=outcome,
            champion_loss=champion if of_ranks else losses(outcome, champion, rule),
            challenger_loss=challenger if of_ranks else losses(outcome, challenger, rule),
            lists=lists,
        )


def spans_of(arrays: Arrays, rule: Rule, *, known_until: int) -> Spans:
    """Return the blocks that the rule parts decisions into.

    Args:
        arrays: The decisions.
        rule: The rule.
        known_until: The last moment whose decisions are mature, in microseconds since 1970.
    """
    if rule.block == "count":
        spans = count_spans(arrays.at_us, rule.block_size or 1, _counted(arrays, rule))
    else:
        spans = block_spans(arrays.at_us, rule)
    if rule.metric != "auc":
        return spans
    ones, zeros = (arrays.paired & (arrays.outcome == value) for value in (1, 0))
    return merged(spans, ones=ones, zeros=zeros, closed=spans.ends <= known_until)


def blocks_of(arrays: Arrays, spans: Spans, closed: Flags, rule: Rule) -> tuple[Block, ...]:
    """Return the closed blocks that have decisions, in order."""
    size = spans.starts.size

    def counted(flags: Flags) -> npt.NDArray[np.intp]:
        return np.bincount(spans.index[flags], minlength=size)

    decisions = counted(np.ones(arrays.at_us.size, dtype=bool))
    labelled, censored = counted(arrays.labelled), counted(arrays.censored)
    errors, missing = counted(arrays.shadow_failed), counted(~arrays.shadowed)
    paired, filled = counted(arrays.paired), counted(arrays.filled)
    ours, theirs = _figures(arrays, spans, paired, rule)
    made = []
    for b in np.flatnonzero(closed & (decisions > 0)):
        known = not (np.isnan(ours[b]) or np.isnan(theirs[b]))
        champion_loss = float(ours[b]) if known else None
        challenger_loss = float(theirs[b]) if known else None
        made.append(
            Block(
                start=_EPOCH + timedelta(microseconds=int(spans.starts[b])),
                decisions=int(decisions[b]),
                labelled=int(labelled[b]),
                censored=int(censored[b]),
                paired=int(paired[b]),
                shadow_errors=int(errors[b]),
                shadow_missing=int(missing[b]),
                champion_loss=champion_loss,
                challenger_loss=challenger_loss,
                z=advantage(champion_loss, challenger_loss, rule),
                filled=int(filled[b]),
            )
        )
    return tuple(made)


def advantage(
    champion: float | None, challenger: float | None, rule: Rule, *, effect: float | None = None
) -> float | None:
    """Return by how much the challenger is better than the rule asks; None where nobody knows.

    Args:
        champion: Its figure of the metric: mean loss, AUC, mean NDCG, or mean outcome.
        challenger: The same.
        rule: Says what is better, and how the effect is counted.
        effect: Another effect than the rule's, counted likewise.
    """
    if champion is None or challenger is None:
        return None
    asked = rule.min_effect if effect is None else effect
    sign = 1 if rule.is_better == "lower" else -1
    if rule.effect == "absolute":
        return sign * (champion - challenger) - asked
    # of what is lower a share is taken off, to what is higher one is added
    return sign * ((1 - sign * asked) * champion - challenger)


def design_effect(
    arrays: Arrays, inside: Flags, blocks: tuple[Block, ...], rule: Rule
) -> DesignEffect:
    """Return what counting requests instead of blocks would pretend."""
    chosen = arrays.paired & inside
    ours, theirs = arrays.champion_loss[chosen], arrays.challenger_loss[chosen]
    values = np.array([block.z for block in blocks if block.z is not None], dtype=np.float64)
    if rule.metric == "auc":
        weight = 1 + rule.min_effect if rule.effect == "relative" else 1.0
        error = auc_difference_error(arrays.outcome[chosen], ours, theirs, weight=weight)
        outcome = arrays.outcome[chosen]
        pooled = advantage(auc(outcome, ours), auc(outcome, theirs), rule)
        return compared(ours.size, values, error, pooled)
    if rule.metric == "ndcg":
        counting, size = arrays.lists[chosen], int(arrays.lists.max(initial=-1)) + 1
        ours, theirs = (
            figures[np.isfinite(figures)]
            for figures in (
                ndcg_of_lists(counting, size, arrays.outcome[chosen], score)
                for score in (ours, theirs)
            )
        )
    each = advantages(ours, theirs, rule)
    mean = float(each.mean()) if each.size else None
    return compared(each.size, values, spread(each), mean)


def advantages(champion: Vector, challenger: Vector, rule: Rule) -> Vector:
    """Return `advantage` of many figures at once."""
    sign = 1 if rule.is_better == "lower" else -1
    if rule.effect == "absolute":
        result: Vector = sign * (champion - challenger) - rule.min_effect
        return result
    result = sign * ((1 - sign * rule.min_effect) * champion - challenger)
    return result


def compared(
    requests: int, values: Vector, request_error: float | None, mean: float | None
) -> DesignEffect:
    """Return what requests would pretend beside what block values say.

    Args:
        requests: How many there are.
        values: The values of blocks.
        request_error: Standard error of the mean as if requests were independent.
        mean: The mean that has this error.
    """
    block = spread(values)
    if request_error is None or block is None or mean is None:
        return DesignEffect(requests=requests, effective=None, request_z=None, block_z=None)
    return DesignEffect(
        requests=requests,
        effective=requests * (request_error / block) ** 2,
        request_z=mean / request_error,
        block_z=float(values.mean()) / block,
    )


def spread(values: Vector) -> float | None:
    """Return the standard error of the mean of independent values; None where there is none."""
    if values.size < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return error if math.isfinite(error) and error > 0 else None


def _counted(arrays: Arrays, rule: Rule) -> list[npt.NDArray[np.intp]]:
    """Return the places of what closes a block by count."""
    if rule.metric == "auc":
        usable = arrays.labelled & takes_outcome(arrays.outcome, rule)
        return [np.flatnonzero(usable & (arrays.outcome == value)) for value in (1, 0)]
    if rule.metric == "ndcg":  # a list is there when its last decision is
        _, from_end = np.unique(arrays.lists[::-1], return_index=True)
        last = arrays.at_us.size - 1 - from_end
        return [np.sort(last[arrays.lists[last] >= 0])]
    return [np.arange(arrays.at_us.size)]


def _figures(
    arrays: Arrays, spans: Spans, paired: npt.NDArray[np.intp], rule: Rule
) -> tuple[Vector, Vector]:
    """Return the figure of either model in each block, NaN where there is none."""
    size, chosen = spans.starts.size, arrays.paired
    block, outcome = spans.index[chosen], arrays.outcome[chosen]

    def of(each: Vector) -> Vector:
        if rule.metric == "auc":
            return auc_of_blocks(block, size, outcome, each[chosen])
        values, where, count = each[chosen], block, paired
        if rule.metric == "ndcg":
            lists = arrays.lists[chosen]
            last = np.zeros(int(lists.max(initial=-1)) + 1, dtype=np.intp)
            np.maximum.at(last, lists, block)
            values = ndcg_of_lists(lists, last.size, outcome, values)
            where = last[there := np.isfinite(values)]
            values, count = values[there], np.bincount(where, minlength=size)
        sums = np.bincount(where, weights=values, minlength=size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            result: Vector = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
        return result

    return of(arrays.champion_loss), of(arrays.challenger_loss)
