"""This module finds which observations belong to which decisions; no rows are paired for it.

Observations lie sorted by entity and event, so that those of a decision are a stretch [low, high):
with the last touch up to the entity's next decision, else up to the end of its observations; and
not beyond the window. Whichever is known first in a stretch is found by halving (a sparse table,
one level at a time), so that many decisions may share many observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from operators._observation_versions import Observed
from operators._outcome_asked import Attribution, Touch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

NOBODY = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """These are decisions: whom they are about, when they were made, when their window closes.

    Args:
        entity: Number of the entity, -1 for none.
        decided: In microseconds since 1970.
        closes: Likewise; an observation at that moment still counts.
    """

    entity: Ints
    decided: Ints
    closes: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """These are, for each decision, positions of observations, `NOBODY` (-1) for none.

    Args:
        outcome: The observation that the decision is labelled by: in its window, and known in it.
        heard: The observation in the window that was heard of first, with an outcome or without.
        earliest: The one that was first to have an outcome, in the window or after it.
        earliest_within: Likewise, but only of what happened in the window.
        latest_decision: For each observation, the latest decision at or before its event.
        rivals: How many decisions were made at the moment of another about the same entity, and
            have no observations because that one stands after them; 0 unless last touch.
    """

    outcome: Ints
    heard: Ints
    earliest: Ints
    earliest_within: Ints
    latest_decision: Ints
    rivals: int


def join(
    decisions: Decisions, observed: Observed, *, touch: Touch, attribution: Attribution
) -> Joined:
    """Return which observations belong to which decisions.

    Args:
        decisions: The decisions, in the order of their table.
        observed: The observations, sorted by entity and event.
        touch: "last" gives an observation to the latest decision at or before it alone.
        attribution: Which of several in one window is the outcome, by event.
    """
    import numpy as np

    rows = np.arange(len(decisions.decided))
    order = np.lexsort((rows, decisions.decided, decisions.entity))
    entity, decided = decisions.entity[order], decisions.decided[order]
    closes = decisions.closes[order]
    timeline = _Timeline(observed.entity, observed.event)
    low = timeline.position(entity, decided, "left")
    after = timeline.position(entity, closes, "right")
    end = timeline.position(entity, np.full(len(entity), np.iinfo(np.int64).max), "right")
    rivals = 0
    if touch == "last":
        followed = np.flatnonzero((entity[1:] == entity[:-1]) & (entity[1:] != NOBODY))
        end[followed] = low[followed + 1]
        rivals = int((decided[followed] == decided[followed + 1]).sum())
    high = np.minimum(after, end)
    valued, heard = Earliest(observed.first_valued), Earliest(observed.first_known)
    found = {
        "outcome": _outcome(observed.first_valued, low, high, closes, attribution),
        "heard": heard.of(low, high),
        "earliest": valued.of(low, end),
        "earliest_within": valued.of(low, high),
    }
    back = np.empty_like(rows)
    back[order] = rows
    before = _Timeline(entity, decided).position(observed.entity, observed.event, "right") - 1
    latest = order[np.maximum(before, 0)] if len(order) else before
    same = (before >= 0) & (decisions.entity[latest] == observed.entity)
    return Joined(
        **{name: positions[back] for name, positions in found.items()},
        latest_decision=np.where(same, latest, NOBODY),
        rivals=rivals,
    )


class _Timeline:
    """These are moments of entities, sorted by both, among which positions are looked for."""

    def __init__(self, entity: Ints, moment: Ints) -> None:
        import numpy as np

        self._moments = np.unique(moment)
        # entities and ranks are below the number of rows, so that their product fits in 64 bits
        self._width = len(self._moments) + 1
        self._keys = entity * self._width + np.searchsorted(self._moments, moment)

    def position(self, entity: Ints, moment: Ints, side: Literal["left", "right"]) -> Ints:
        """Return how many rows come before an entity's moment, or up to it ("right")."""
        import numpy as np

        rank = np.searchsorted(self._moments, moment, side=side)
        found: Ints = np.searchsorted(self._keys, entity * self._width + rank)
        return found


class Earliest:
    """This finds the row with the earliest moment of a stretch, the first of equal ones.

    Args:
        moments: The moment of each row.
    """

    def __init__(self, moments: Ints) -> None:
        import numpy as np

        self._order = np.argsort(moments, kind="stable")
        self._ranks = np.empty(len(moments), dtype=np.int64)
        self._ranks[self._order] = np.arange(len(moments))

    def of(self, low: Ints, high: Ints) -> Ints:
        """Return the row of each stretch [low, high), `NOBODY` where it is empty."""
        import numpy as np

        found = np.full(len(low), NOBODY)
        filled = np.flatnonzero(high > low)
        lengths = (high - low)[filled]
        least = self._ranks  # of the `reach` rows from each on
        reach = 1
        while len(filled):
            now = lengths < 2 * reach
            at = filled[now]
            rank = np.minimum(least[low[at]], least[high[at] - reach])
            found[at] = self._order[rank]
            filled, lengths = filled[~now], lengths[~now]
            least = np.minimum(least[:-reach], least[reach:])
            reach *= 2
        return found


def _outcome(
    first_valued: Ints, low: Ints, high: Ints, closes: Ints, attribution: Attribution
) -> Ints:
    """Return the first or last row of each stretch that had an outcome before its window closed."""
    import numpy as np

    step, at = (1, low.copy()) if attribution == "first" else (-1, high - 1)
    found = np.full(len(low), NOBODY)
    open_ = np.flatnonzero(high > low)
    while len(open_):
        fits = first_valued[at[open_]] <= closes[open_]
        found[open_[fits]] = at[open_[fits]]
        open_ = open_[~fits]
        at[open_] += step
        open_ = open_[(at[open_] >= low[open_]) & (at[open_] < high[open_])]
    return found
