"""This module says how good the labels will be that items get where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from operators._proportions import Estimate
from operators._route_evidence import Evidence
from operators._route_people import People
from operators._route_plan import Routed

Floats = npt.NDArray[np.float64]
_DRAWS = 4_000


def expected_accuracy(
    routed: Sequence[Routed],
    evidence: Mapping[str, Evidence],
    people: People,
    *,
    confidence: float,
) -> Estimate | None:
    """Return which share of the labels will be right, with the interval that it will lie in.

    The interval counts both what is not known of each source's accuracy and how items will fall.
    None where nothing gets a label, or nothing is known of people and they give some.
    """
    rng = np.random.default_rng(0)
    right, total, expected = np.zeros(_DRAWS), 0, 0.0
    groups: dict[tuple[str, int], int] = {}
    for each in routed:
        if each.route == "person":
            groups["", 0] = groups.get(("", 0), 0) + 1
        elif each.route != "later" and each.offer is not None:
            key = each.offer.source, each.offer.bin
            groups[key] = groups.get(key, 0) + 1
    for (source, at), count in sorted(groups.items()):
        if source:
            found = evidence[source]
            known, wrong = int(found.right[at]), int(found.of[at] - found.right[at])
            errors: Floats | None = rng.beta(wrong + 0.5, known + 0.5, size=_DRAWS)
            error: float | None = float(found.error[at])
        else:
            errors, error = people.drawn(rng, _DRAWS), people.error
        if errors is None or error is None:
            return None
        right += count - rng.binomial(count, errors)
        expected += count * (1 - error)
        total += count
    if not total:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(right / total, [tail, 1 - tail])
    value = expected / total
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))
