"""This module cuts labelled rows into what is learned from and what is judged, forward in time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Positions = npt.NDArray[np.int64]

LEAST_ROWS = 400  # labelled rows: with fewer, nothing can be told
LEAST_BLOCKS = 20
MOST_BLOCKS = 60


@dataclass(frozen=True, kw_only=True)
class Fold:
    """This is one step forward in time.

    Args:
        train: Positions of rows whose label was known before the first decision that is judged.
        judged: Positions of the rows that are judged, in the order of their decisions.
    """

    train: Positions
    judged: Positions


def known_before(rows: pa.Table, known: str, day: date | None) -> pa.Table:
    """Return the rows whose label was known before a day began in UTC; None takes all."""
    import pyarrow.compute as pc

    if day is None:
        return rows
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return rows.filter(pc.less(rows.column(known), moment))


def sampled(rows: pa.Table, *, decided: str, size: int, seed: int) -> pa.Table:
    """Return at most `size` rows drawn without replacement, in the order of their decisions.

    Raises:
        DataError: There are too few rows to tell anything.
    """
    if rows.num_rows < LEAST_ROWS:
        raise DataError(
            f"There are {rows.num_rows:,} labelled rows, too few to measure what a feature adds.",
            remedy=f"Give at least {LEAST_ROWS}.",
        )
    if rows.num_rows > size:
        drawn = np.random.default_rng(seed).choice(rows.num_rows, size=size, replace=False)
        rows = rows.take(np.sort(drawn))
    return rows.sort_by([(decided, "ascending")])


def folds(decided_us: Positions, known_us: Positions, *, count: int) -> Iterator[Fold]:
    """Yield folds, each trained on the past of what it judges.

    Args:
        decided_us: When each decision was made, ascending.
        known_us: When each label was known.
        count: How many; the first part of the rows, one of `count` + 1, is only trained on.
    """
    edges = np.linspace(0, len(decided_us), count + 2).astype(np.int64)
    for start, end in itertools.pairwise(edges[1:]):
        train = np.flatnonzero(known_us[:start] < decided_us[start])
        yield Fold(train=train, judged=np.arange(start, end))


def blocks(decided_us: Positions) -> npt.NDArray[np.int64]:
    """Return a block number for each judged row, ascending.

    Blocks are days, several days where there are many, or equal parts of the time where there are
    fewer than 20 days: rows of one day share their weather, and do not count as evidence each.
    """
    day_us = 86_400_000_000
    days = (decided_us - decided_us[0]) // day_us
    total = int(days[-1]) + 1
    if total < LEAST_BLOCKS:
        span = max(1, int(decided_us[-1] - decided_us[0]) + 1)
        parts: Positions = ((decided_us - decided_us[0]) * LEAST_BLOCKS) // span
        return parts
    width = -(-total // MOST_BLOCKS)
    found: Positions = days // width
    return found
