"""This module says what a person's label costs and how often it is wrong, as far as is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError
from operators._human_costs import human_costs

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class People:
    """This is what is known of raters.

    Args:
        seconds: Of one vote.
        timed: Votes that this was measured on; 0 where it is assumed.
        right: Votes on gold items that are right.
        of: Votes on gold items.
        assumed: Accuracy of a vote that somebody assumes; None for what was measured.
        votes: Votes an item.
    """

    seconds: float
    timed: int
    right: int
    of: int
    assumed: float | None
    votes: int

    @property
    def error(self) -> float | None:
        """The error to expect of an item's label; None where nothing is known of it."""
        if self.assumed is not None:
            return float(majority_error(np.array([1 - self.assumed]), self.votes)[0])
        if not self.of:
            return None
        one = (self.of - self.right + 0.5) / (self.of + 1.0)
        return float(majority_error(np.array([one]), self.votes)[0])

    def drawn(self, rng: np.random.Generator, count: int) -> Floats | None:
        """Return errors of an item's label that what was seen leaves possible."""
        if self.assumed is not None:
            return majority_error(np.full(count, 1 - self.assumed), self.votes)
        if not self.of:
            return None
        one = rng.beta(self.of - self.right + 0.5, self.right + 0.5, size=count)
        return majority_error(one, self.votes)


def people_of(
    rows: Sequence[Mapping[str, Any]],
    *,
    idle_seconds: float,
    seconds_per_vote: float | None,
    accuracy: float | None,
    votes: int,
) -> People:
    """Read from people's votes what another one costs, and how often it is right.

    Raises:
        DataError: Nobody timed a vote, and nobody says how long one takes.
    """
    costs = human_costs(rows, idle_seconds=idle_seconds, assumed_seconds=None)
    seconds = seconds_per_vote if seconds_per_vote is not None else costs["mean"]
    if not seconds:
        raise DataError(
            "Nobody timed a vote, so what a person's label costs is not known.",
            remedy="Give `people`, votes with `seconds`, or `seconds_per_vote`.",
        )
    known = [row for row in rows if row["gold"] is not None and row["label"] is not None]
    return People(
        seconds=float(seconds),
        timed=0 if seconds_per_vote is not None else len(rows) - costs["untimed"],
        right=sum(row["label"] == row["gold"] for row in known),
        of=len(known),
        assumed=accuracy,
        votes=votes,
    )


def majority_error(error: Floats, votes: int) -> Floats:
    """Return how often the majority of independent votes is wrong.

    A tie is wrong half the time. Wrong votes are taken to agree, as they do with two classes; with
    more it errs to the safe side.
    """
    total = np.zeros_like(error, dtype=np.float64)
    for wrong in range(votes + 1):
        weight = 1.0 if 2 * wrong > votes else 0.5 if 2 * wrong == votes else 0.0
        if weight:
            total += weight * comb(votes, wrong) * error**wrong * (1 - error) ** (votes - wrong)
    return total
