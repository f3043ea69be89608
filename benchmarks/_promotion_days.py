"""This module makes days of a comparison out of requests, by the code that rulings are made by.

Many runs are laid one behind the other on one time line, so that one pass makes the blocks of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from serving._blocks import Arrays, advantages, blocks_of, spans_of
from serving.evidence import Block
from serving.rule import Rule

Vector: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
_FAR = 1 << 60


@dataclass(frozen=True, kw_only=True)
class Requests:
    """These are requests of several runs; each is `(runs, days, requests of a day)`.

    Args:
        champion: Scores of the model that answers.
        challenger: Scores of the model in shadow.
        outcome: What happened.
        known: Whether that is known within the rule's label window.
    """

    champion: Vector
    challenger: Vector
    outcome: Vector
    known: Flags


@dataclass(frozen=True, kw_only=True)
class Days:
    """These are the blocks of several runs; each is `(runs, days)`.

    Args:
        values: The challenger's advantage in each block.
        counts: How many decisions count in it.
        sums: Sum of the advantages of its decisions.
        squares: Sum of their squares.
        blocks: The blocks of the first runs, run by run, as evidence has them.
    """

    values: Vector
    counts: Vector
    sums: Vector
    squares: Vector
    blocks: tuple[tuple[Block, ...], ...]

    @classmethod
    def joined(cls, parts: Iterable[Days], keep: int) -> Days:
        """Return the runs of all parts, with the blocks of the first `keep` runs."""
        every = list(parts)
        names = ("values", "counts", "sums", "squares")
        joined = {name: np.concatenate([getattr(p, name) for p in every]) for name in names}
        blocks = tuple(blocks for part in every for blocks in part.blocks)
        return cls(**joined, blocks=blocks[:keep])


def days_of(requests: Requests, rule: Rule, *, keep: int) -> Days:
    """Return the blocks of some runs, made by `serving._blocks` as for any evidence.

    Args:
        requests: All days have requests.
        rule: With blocks by day in UTC.
        keep: Of how many runs the blocks themselves are kept.
    """
    runs, days, of_a_day = requests.champion.shape
    start = np.arange(runs * days, dtype=np.int64)[:, None] * DAY_US
    at_us = (start + (np.arange(of_a_day) + 1) * (DAY_US // (of_a_day + 2))).ravel()
    return from_rows(
        {
            "at_us": at_us,
            "champion": requests.champion.ravel(),
            "challenger": requests.challenger.ravel(),
            "outcome": requests.outcome.ravel(),
            "shadowed": np.ones(at_us.size, dtype=bool),
            "known": requests.known.ravel(),
            "censored": np.zeros(at_us.size, dtype=bool),
        },
        rule,
        runs=runs,
        keep=keep,
    )


def from_rows(
    rows: dict[str, npt.NDArray[np.generic]], rule: Rule, *, runs: int, keep: int
) -> Days:
    """Return the blocks of rows as `serving.evidence` reads them from a log.

    Args:
        rows: By the name of the column, in order of time.
        rule: With blocks by day.
        runs: How many runs of as many days there are in them.
        keep: Of how many runs the blocks themselves are kept.
    """
    arrays = Arrays.of(rows, rule)
    spans = spans_of(arrays, rule, known_until=_FAR)
    blocks = blocks_of(arrays, spans, spans.ends <= _FAR, rule)
    values = np.array([block.z for block in blocks], dtype=np.float64)
    chosen = arrays.paired
    each = advantages(arrays.champion_loss[chosen], arrays.challenger_loss[chosen], rule)
    index, size = spans.index[chosen], values.size

    def summed(weights: Vector) -> Vector:
        sums = np.bincount(index, weights=weights, minlength=size)
        return sums.astype(np.float64).reshape(runs, -1)

    days = size // runs
    return Days(
        values=values.reshape(runs, -1),
        counts=np.bincount(index, minlength=size).reshape(runs, -1).astype(np.float64),
        sums=summed(each),
        squares=summed(each**2),
        blocks=tuple(blocks[r * days : (r + 1) * days] for r in range(min(keep, runs))),
    )
