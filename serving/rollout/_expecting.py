"""This module says what is missing for the next step, and when it is expected; it is pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from serving._check import Check
from serving._comparison import PLANNED
from serving._evidence_document import Evidence
from serving._rule_text import block_name
from serving.rollout.gathered import Gathered
from serving.rollout.ruling import Ruling
from serving.rollout.state import RolloutState
from serving.rule import Rule

_MOST_BLOCKS = 1000


@dataclass(frozen=True, kw_only=True)
class _Wait:
    """This is one thing that is waited for: until when, None where nobody can tell."""

    sentence: str
    at: datetime | None = None
    blocks: int | None = None


def expected(ruling: Ruling) -> dict[str, Any]:
    """Return what is missing and when it is expected, as JSON-like data.

    Args:
        ruling: Without this yet.

    Returns:
        "blocks" (how many more, or None), "at" (ISO time; None where nobody can tell) and
        "sentence"; empty where nothing is waited for.
    """
    if ruling.action != "hold":
        return {}
    holding = {check.name: check for check in ruling.checks if check.action == "hold"}
    waits = list(_waits(ruling, holding))
    primary = ruling.gathered.primary
    is_new = isinstance(primary, Evidence) and not primary.blocks
    explained = _EXPLAINED | _OF_BLOCKS if is_new else _EXPLAINED
    odd = [name for name in holding if name not in explained]
    if not waits and not odd:
        return {}
    moments = [wait.at for wait in waits]
    known = [moment for moment in moments if moment is not None]
    is_told = bool(known) and len(known) == len(moments) and not odd
    at = max(known) if is_told else None
    sentences = [wait.sentence for wait in waits]
    if odd:
        sentences.append(f"Nobody can tell when these pass: {', '.join(odd)}.")
    if at is not None:
        sentences.append(f"That is expected at {at.isoformat()}, at the earliest.")
    return {
        "blocks": max((w.blocks for w in waits if w.blocks is not None), default=None),
        "at": None if at is None else at.isoformat(),
        "sentence": " ".join(sentences),
    }


_EXPLAINED = {
    "enough evidence",
    "challenger is better",
    "still in time",
    "blocks are long enough",
    "watched long enough",
    "lasts long enough",
    "step is old enough",
    "step has answers",
    "works in shadow",
    "approved",
    "nobody holds it",
}
# without a closed block, each of them waits for the first
_OF_BLOCKS = {
    "outcomes are known",
    "challenger scored",
    "old champion scored",
    "both arms answer",
    "evidence is fresh",
}


def _waits(ruling: Ruling, holding: dict[str, Check]) -> Iterator[_Wait]:
    rule, state, primary = ruling.rule, ruling.state, ruling.gathered.primary
    if "still in time" in holding:
        yield _Wait(sentence="Its time is over, and no more is looked at.")
        return
    if isinstance(primary, Evidence):
        yield from _more_blocks(ruling, primary, holding)
    if "lasts long enough" in holding:
        yield _Wait(
            sentence=f"The experiment has to last {rule.min_days:g} days.",
            at=_later(state.began, days=rule.min_days),
        )
    if "step is old enough" in holding and rule.ramp is not None:
        yield _Wait(
            sentence=f"This share has to stay for {rule.ramp.hold_hours:g} hours.",
            at=_later(state.since, hours=rule.ramp.hold_hours),
        )
    for name, sentence in _WITHOUT_DATE.items():
        if name in holding:
            yield _Wait(sentence=sentence)


_WITHOUT_DATE = {
    "blocks are long enough": "Longer blocks have to be declared.",
    "step has answers": "More decisions have to be answered at this share.",
    "works in shadow": "More decisions have to be tried in shadow.",
    "approved": "A person has to approve it.",
    "nobody holds it": "Whoever holds the endpoint has to release it.",
}


def _more_blocks(ruling: Ruling, evidence: Evidence, holding: dict[str, Check]) -> Iterator[_Wait]:
    rule = ruling.rule

    def more(blocks: int, sentence: str) -> _Wait:
        is_one = blocks == 1
        said = sentence.format(
            f"{blocks:,} more {block_name(rule, blocks)}",
            has="has" if is_one else "have",
            are="is" if is_one else "are",
        )
        return _Wait(sentence=said, at=_moment(ruling, evidence, blocks), blocks=blocks)

    if "watched long enough" in holding:
        figures = holding["watched long enough"].figures
        yield more(int(figures["needed"] - figures["blocks"]), "{} {are} to be watched.")
    if not {"enough evidence", "challenger is better"} & holding.keys():
        return
    values = [block.z for block in evidence.blocks if block.z is not None]
    missing = rule.min_blocks - len(values)
    if missing > 0:
        yield more(missing, "{} {has} to close.")
        return
    if "enough evidence" in holding:
        yield _Wait(sentence="More decisions have to count.")
    if "challenger is better" not in holding:
        return
    if rule.looks is not None and rule.max_blocks is not None:
        from serving.statistics.group_sequential import look_blocks

        looks = look_blocks(rule.looks, rule.max_blocks)
        missing = next((look for look in looks if look > len(values)), 0) - len(values)
    else:
        missing = _until_proof(rule, values, ruling.alpha) or 0
    if missing > 0:
        yield more(missing, "The next look is after {}." if rule.looks else _IF_IT_STAYS)
    else:
        said = f"At this advantage, {_MOST_BLOCKS:,} {block_name(rule)} prove nothing."
        if sum(values) <= 0:
            said = f"It is not ahead: more {block_name(rule)} like these prove nothing."
        yield _Wait(sentence=said)


_IF_IT_STAYS = "If all stays as it is, {} {are} proof."


def _until_proof(rule: Rule, values: list[float], alpha: float) -> int | None:
    from serving.statistics.expected import blocks_to_verdict

    if alpha <= 0:
        return None
    with np.errstate(all="ignore"):  # absurd figures prove nothing
        return blocks_to_verdict(
            np.array(values, dtype=np.float64),
            alpha=alpha,
            planned=PLANNED * rule.min_blocks,
            most=_MOST_BLOCKS,
        )


def _moment(ruling: Ruling, evidence: Evidence, more: int) -> datetime | None:
    """Return when so many more blocks are closed and mature; None where nobody can tell."""
    rule, gathered, state = ruling.rule, ruling.gathered, ruling.state
    try:
        window = timedelta(hours=rule.label_window_hours)
        if rule.block == "count":
            at = gathered.as_of + more * _count_span(evidence)
        else:
            after = more if evidence.blocks else more - 1
            at = _end(rule, _newest(evidence, gathered, state, window), after) + window
    except (OverflowError, ZeroDivisionError, TypeError):  # beyond all calendars, or no moments
        return None
    return at.astimezone(UTC) if at > gathered.as_of else None


def _newest(
    evidence: Evidence, gathered: Gathered, state: RolloutState, window: timedelta
) -> datetime:
    """Return a moment of the newest closed block; without any, of the first that will be."""
    if evidence.blocks:
        return evidence.blocks[-1].start
    waits = evidence.totals.waiting > 0
    return max(state.began, gathered.as_of - window) if waits else gathered.as_of


def _end(rule: Rule, moment: datetime, after: int) -> datetime:
    """Return the end of the block so many after that of a moment."""
    if rule.block == "hour":
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return hour + timedelta(hours=after + 1)
    zone = ZoneInfo(rule.timezone)
    day = moment.astimezone(zone).date()
    if rule.block == "week":
        ends = day - timedelta(days=day.weekday()) + timedelta(weeks=after + 1)
    else:
        ends = day + timedelta(days=after + 1)
    return datetime.combine(ends, time(), tzinfo=zone).astimezone(UTC)


def _count_span(evidence: Evidence) -> timedelta:
    """Return how long a block by count took on average; an error where there are too few."""
    return (evidence.blocks[-1].start - evidence.blocks[0].start) / (len(evidence.blocks) - 1)


def _later(moment: datetime, *, days: float = 0.0, hours: float = 0.0) -> datetime | None:
    try:
        return (moment + timedelta(days=days, hours=hours)).astimezone(UTC)
    except (OverflowError, TypeError, AttributeError):  # beyond all calendars, or no moment
        return None
