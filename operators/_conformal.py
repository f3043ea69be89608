"""This module makes prediction intervals by split conformal prediction; it is pure.

The residuals of rows that a model was not fitted on say how far off it is. Where new rows are
exchangeable with those, the interval of coverage c holds the outcome with a chance of at least c,
whatever the model and the distribution, in any number of rows (Vovk et al. 2005; Lei et al. 2018).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from operators._encoding import Vector

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)


def intervals_of(target: Vector, score: Vector) -> dict[str, Any]:
    """Return how wide intervals have to be, as JSON-like data for a card.

    Args:
        target: What was measured, on rows that the model was not fitted on.
        score: What the model answered for them.

    Returns:
        rows: How many rows there were.
        reach: Coverage, as text, to the distance from the answer to either end of the interval; a
            coverage that so few rows cannot vouch for is left out.
    """
    distances = np.sort(np.abs(target - score))
    reach = {}
    for coverage in COVERAGES:
        rank = _rank(len(distances), coverage)
        if rank <= len(distances):
            reach[f"{coverage:g}"] = float(distances[rank - 1])
    return {"rows": len(distances), "reach": reach}


def _rank(rows: int, coverage: float) -> int:
    """The new row may fall anywhere among the others: hence one more than there are."""
    # 0.9 of 9 + 1 rows is 9, which binary fractions make a little more of
    return math.ceil(round((rows + 1) * coverage, 9))
