"""This module makes blocks of decisions and their mean losses; pure arithmetic on arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from serving._evidence_document import Block, DesignEffect
from serving.rule import Rule

Flags: TypeAlias = npt.NDArray[np.bool_]
Times: TypeAlias = npt.NDArray[np.int64]
Vector: TypeAlias = npt.NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """These are the decisions of an experiment, in the order in which they were made.

    Args:
        at_us: When, in microseconds since 1970 UTC.
        shadowed: Whether there is a shadow score, usable or not.
        shadow_failed: Whether it is an error or no usable number.
        labelled: Whether an outcome with a value was known in time.
        censored: Whether an outcome that is null was known in time.
        unusable: Labelled, but the outcome or the champion's score is none the metric can take.
        paired: Whether the decision counts.
        champion_loss: Loss of the champion; meaningless where not paired.
        challenger_loss: Loss of the challenger; meaningless where not paired.
    """

    at_us: Times
    shadowed: Flags
    shadow_failed: Flags
    labelled: Flags
    censored: Flags
    unusable: Flags
    paired: Flags
    champion_loss: Vector
    challenger_loss: Vector

    @classmethod
    def of(cls, rows: Mapping[str, npt.NDArray[Any]], rule: Rule) -> Arrays:
        """Sort out which decisions count, and take their losses."""
        outcome = rows["outcome"].astype(np.float64)
        champion = rows["champion"].astype(np.float64)
        challenger = rows["challenger"].astype(np.float64)
        shadowed = rows["shadowed"].astype(bool)
        censored = rows["censored"].astype(bool)
        labelled = rows["known"].astype(bool) & ~censored
        shadow_failed = shadowed & ~_usable_score(challenger, rule)
        unusable = labelled & ~(_usable_score(champion, rule) & _usable_outcome(outcome, rule))
        return cls(
            at_us=rows["at_us"].astype(np.int64),
            shadowed=shadowed,
            shadow_failed=shadow_failed,
            labelled=labelled,
            censored=censored,
            unusable=unusable,
            paired=labelled & ~unusable & shadowed & ~shadow_failed,
            champion_loss=losses(outcome, champion, rule),
            challenger_loss=losses(outcome, challenger, rule),
        )


@dataclass(frozen=True, kw_only=True)
class Spans:
    """These are the blocks that decisions may fall into.

    Args:
        starts: First moment of each block, in microseconds.
        ends: First moment after it.
        index: Number of the block of each decision.
    """

    starts: Times
    ends: Times
    index: npt.NDArray[np.intp]


def losses(outcome: Vector, score: Vector, rule: Rule) -> Vector:
    """Return the loss of each score under a rule's metric, at most its clip."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if rule.metric == "log_loss":
            each = -np.log(np.where(outcome == 1, score, 1 - score))
        elif rule.metric == "mae":
            each = np.abs(outcome - score)
        else:  # the Brier score is the squared error of a probability
            each = (outcome - score) ** 2
    bound = rule.largest_loss
    return each if bound is None else np.minimum(each, bound)


def block_spans(at_us: Times, rule: Rule) -> Spans:
    """Return the blocks from the first to the last decision: local days, or hours of UTC."""
    if at_us.size == 0:
        none = np.array([], dtype=np.int64)
        return Spans(starts=none, ends=none, index=np.array([], dtype=np.intp))
    if rule.block == "hour":
        starts = np.unique(at_us // _HOUR_US) * _HOUR_US
        ends = starts + _HOUR_US
    else:
        edges = _midnights(int(at_us.min()), int(at_us.max()), ZoneInfo(rule.timezone))
        starts, ends = edges[:-1], edges[1:]
    index = np.searchsorted(starts, at_us, side="right") - 1
    return Spans(starts=starts, ends=ends, index=index.astype(np.intp))


def blocks_of(arrays: Arrays, spans: Spans, closed: Flags, rule: Rule) -> tuple[Block, ...]:
    """Return the closed blocks that have decisions, in order."""
    size = spans.starts.size

    def counted(flags: Flags) -> npt.NDArray[np.intp]:
        return np.bincount(spans.index[flags], minlength=size)

    def summed(values: Vector) -> Vector:
        chosen = arrays.paired
        sums = np.bincount(spans.index[chosen], weights=values[chosen], minlength=size)
        return sums.astype(np.float64)  # without any rows numpy makes them whole numbers

    decisions = counted(np.ones(arrays.at_us.size, dtype=bool))
    labelled, censored = counted(arrays.labelled), counted(arrays.censored)
    errors, missing = counted(arrays.shadow_failed), counted(~arrays.shadowed)
    paired = counted(arrays.paired)
    ours, theirs = summed(arrays.champion_loss), summed(arrays.challenger_loss)
    made = []
    for b in np.flatnonzero(closed & (decisions > 0)):
        n = int(paired[b])
        champion_loss = float(ours[b]) / n if n else None
        challenger_loss = float(theirs[b]) / n if n else None
        made.append(
            Block(
                start=_EPOCH + timedelta(microseconds=int(spans.starts[b])),
                decisions=int(decisions[b]),
                labelled=int(labelled[b]),
                censored=int(censored[b]),
                paired=n,
                shadow_errors=int(errors[b]),
                shadow_missing=int(missing[b]),
                champion_loss=champion_loss,
                challenger_loss=challenger_loss,
                z=advantage(champion_loss, challenger_loss, rule),
            )
        )
    return tuple(made)


def advantage(champion: float | None, challenger: float | None, rule: Rule) -> float | None:
    """Return how much smaller the challenger's loss is than the rule asks, or None."""
    if champion is None or challenger is None:
        return None
    return (1 - rule.min_effect) * champion - challenger


def design_effect(
    arrays: Arrays, inside: Flags, blocks: tuple[Block, ...], rule: Rule
) -> DesignEffect:
    """Return what counting requests instead of blocks would pretend."""
    chosen = arrays.paired & inside
    each = (1 - rule.min_effect) * arrays.champion_loss[chosen] - arrays.challenger_loss[chosen]
    values = np.array([block.z for block in blocks if block.z is not None], dtype=np.float64)
    request, block = _spread(each), _spread(values)
    if request is None or block is None:
        return DesignEffect(requests=each.size, effective=None, request_z=None, block_z=None)
    return DesignEffect(
        requests=each.size,
        effective=each.size * (request / block) ** 2,
        request_z=float(each.mean()) / request,
        block_z=float(values.mean()) / block,
    )


def _spread(values: Vector) -> float | None:
    """Return the standard error of the mean of independent values; None where there is none."""
    if values.size < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return error if math.isfinite(error) and error > 0 else None


def _usable_score(score: Vector, rule: Rule) -> Flags:
    if rule.is_classification:
        return (score >= 0) & (score <= 1)
    return np.isfinite(score)


def _usable_outcome(outcome: Vector, rule: Rule) -> Flags:
    if rule.is_classification:
        return np.isin(outcome, (0.0, 1.0))
    return np.isfinite(outcome)


def _midnights(first: int, last: int, zone: ZoneInfo) -> Times:
    """Return every local midnight from the first moment's day to the end of the last one's."""
    day: date = (_EPOCH + timedelta(microseconds=first)).astimezone(zone).date()
    edges: list[int] = []
    while not edges or edges[-1] <= last:
        midnight = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
        edges.append((midnight - _EPOCH) // timedelta(microseconds=1))
        day += timedelta(days=1)
    return np.array(edges, dtype=np.int64)
