"""This module chooses from which probability on a model's answers are right often enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from operators._proportions import at_least

_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Limit:
    """This is the limit that was chosen, and on what grounds.

    Attributes:
        min_confidence: The model votes from here on; None where nothing is sure enough.
        rows: How many labelled rows there were.
        answered: How many of them it votes on.
        right: How many of those votes are right.
        precision: What the share of right votes is at least, by the labelled rows.
        wanted: What it has to be at least.
        confidence: How sure that is.
    """

    min_confidence: float | None
    rows: int
    answered: int
    right: int
    precision: float
    wanted: float
    confidence: float

    def document(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "rows": self.rows,
            "answered": self.answered,
            "right": self.right,
            "precision_at_least": self.precision,
            "precision": self.wanted,
            "confidence": self.confidence,
        }


def limit_for(
    sure: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    *,
    precision: float,
    confidence: float,
) -> Limit:
    """Return the least limit whose votes are right often enough, as far as labelled rows show.

    Ten limits are tried, such that the surest tenth of the rows is answered, two tenths, and so on.
    Each is judged by Clopper and Pearson's exact bound at a tenth of the risk (Bonferroni), since
    the best of ten is kept; so the chance that the one kept is right less often than wanted is at
    most 1 - confidence, whatever the model.

    Args:
        sure: How sure the model is of its answer for each labelled row, 0 to 1.
        right: Whether that answer is right.
        precision: The share of votes that have to be right.
        confidence: How sure that has to be.
    """
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    hits = np.cumsum(right[order])
    each = 1 - (1 - confidence) / _STEPS
    best = Limit(
        min_confidence=None,
        rows=len(sure),
        answered=0,
        right=0,
        precision=0.0,
        wanted=precision,
        confidence=confidence,
    )
    for step in range(1, _STEPS + 1):
        last = -(-step * len(sure) // _STEPS) - 1
        if last < 0:
            continue
        limit = float(ranked[last])
        answered = int(np.searchsorted(-ranked, -limit, side="right"))
        bound = at_least(int(hits[answered - 1]), answered, confidence=each)
        if bound >= precision:
            best = Limit(
                min_confidence=limit,
                rows=len(sure),
                answered=answered,
                right=int(hits[answered - 1]),
                precision=bound,
                wanted=precision,
                confidence=confidence,
            )
    return best
