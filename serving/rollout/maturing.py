"""This module says when what became known is worth another look at a comparison; it is pure.

A look is worth it when a block has closed and everything in it is as old as the label window, or
when something was told of such a block afterwards: a correction, or an outcome that was known in
time and came late. What is told of younger decisions changes no evidence yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from serving._block_spans import block_spans
from serving.rule import Rule

_US_PER_HOUR = 3_600_000_000
_PAUSE_US = 60_000_000
_LONGEST_US = 10 * _PAUSE_US


@dataclass(frozen=True, kw_only=True)
class Matured:
    """This is what became known of an endpoint since it was last said; times are us since 1970.

    Args:
        experiments: Whose evidence it is.
        through: Up to when blocks were closed and mature when it was last said.
        closed: Up to when they are now.
        outcomes: How many outcomes count that were told of mature blocks since; of blocks by
            count, how many were told at all.
        known: The newest moment that an outcome was known at; None before the first.
        heard: When the last one of `outcomes` was read; None without any.
        since: When there was first something to say; None while there is nothing.
        said: When it was last said; None for never.
    """

    experiments: tuple[str, ...]
    through: int
    closed: int
    outcomes: int = 0
    known: int | None = None
    heard: int | None = None
    since: int | None = None
    said: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data; `from_json` gives back exactly the same."""
        return {**vars(self), "experiments": list(self.experiments)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_json`."""
        return cls(**{**document, "experiments": tuple(document["experiments"])})


def closed_until(moment: int, rule: Rule) -> int:
    """Return up to when blocks are closed and mature at a moment; 0 of blocks by count.

    Args:
        moment: In microseconds since 1970.
        rule: What a block is, and how long an outcome may take.
    """
    if rule.block == "count":
        return 0
    mature = moment - round(rule.label_window_hours * _US_PER_HOUR)
    return int(block_spans(np.array([mature], dtype=np.int64), rule).starts[0])


def begun(experiments: tuple[str, ...], moment: int, rule: Rule) -> Matured:
    """Return that nothing became known of comparisons yet; what was before is for the schedule."""
    closed = closed_until(moment, rule)
    return Matured(experiments=experiments, through=closed, closed=closed)


def heard_more(
    seen: Matured, told: Iterable[Mapping[str, Any]], *, rule: Rule, now: int, replayed: bool
) -> Matured:
    """Return what is known with more outcomes, and at a later moment.

    Args:
        seen: What was known.
        told: Outcomes as the log has them, in order; others than the rule's are passed over.
        rule: The rule.
        now: The present moment.
        replayed: Whether time passes in the log alone.
    """
    mine = [each for each in told if (each.get("name") or "") == rule.outcome]
    known = max([seen.known or 0, *(int(each["known_at"]) for each in mine)]) or None
    closed = max(seen.closed, closed_until((known or 0) if replayed else now, rule))
    ends = closed + round(rule.label_window_hours * _US_PER_HOUR)
    more = sum(
        rule.block == "count" or each.get("corrects") is True or int(each["known_at"]) < ends
        for each in mine
    )
    found = replace(
        seen,
        known=known,
        closed=closed,
        outcomes=seen.outcomes + more,
        heard=now if more else seen.heard,
    )
    if found.since is None and _is_something(found, rule):
        return replace(found, since=now)
    return found


def is_to_be_said(seen: Matured, *, now: int, replayed: bool) -> bool:
    """Return whether to say it now: at most once a minute, and not while outcomes pour in.

    A replay tells a month in a minute, so it is waited for until it pauses; nothing is put off for
    more than ten minutes. A clock that was set back puts nothing off.
    """
    if seen.since is None or (seen.said is not None and 0 <= now - seen.said < _PAUSE_US):
        return False
    pours = seen.heard is not None and 0 <= now - seen.heard < _PAUSE_US
    waits = pours and (replayed or seen.closed == seen.through)
    return not waits or not 0 <= now - seen.since < _LONGEST_US


def said(seen: Matured, *, now: int | None, of: Matured | None = None) -> Matured:
    """Return that it was said at a moment; None: somebody judged all of it before.

    Args:
        seen: What is known.
        now: The moment.
        of: What was known when it was begun to be said; what came since is left. None for all.
    """
    at, of = seen.said if now is None else now, of or seen
    left = max(0, seen.outcomes - of.outcomes)
    heard = seen.heard if left else None
    through = max(seen.through, of.closed)
    return replace(seen, through=through, outcomes=left, heard=heard, since=None, said=at)


def is_judged(seen: Matured, rule: Rule, *, as_of: int, at: int, replayed: bool) -> bool:
    """Return whether a ruling knew all of it.

    Args:
        seen: What became known.
        rule: The rule.
        as_of: The moment whose knowledge the ruling used.
        at: When it was said.
        replayed: Whether time passes in the log alone.
    """
    if closed_until(as_of, rule) < seen.closed:
        return False
    if replayed:
        return as_of >= (seen.known or 0) and at > (seen.heard or 0)
    return as_of > (seen.heard or 0)


def _is_something(seen: Matured, rule: Rule) -> bool:
    if rule.block == "count":  # fewer outcomes close no block
        return seen.outcomes >= (rule.block_size or 1)
    return seen.closed > seen.through or seen.outcomes > 0
