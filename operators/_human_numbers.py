"""This module says how far people's numbers are from what is known, and from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.labels.schema import LabelSchema
from operators._proportions import mean_interval, wilson

Row = Mapping[str, Any]


def quality_of_numbers(
    votes: Sequence[Row], schema: LabelSchema, *, confidence: float
) -> dict[str, Any]:
    """Return the quality of people's numbers.

    Args:
        votes: People's votes.
        schema: What could be answered.
        confidence: Of the intervals.

    Returns:
        As of `quality_of`; gold and agreement only where the schema has a tolerance.
    """
    errors = [
        abs(schema.value(v["label"]) - schema.value(v["gold"]))
        for v in votes
        if v["gold"] is not None and v["label"]
    ]
    apart = _distances(votes, schema)
    near = schema.tolerance
    gold = agreement = None
    if near is not None and errors:
        right = sum(schema.is_near(error) for error in errors)
        found = wilson(right, len(errors), confidence=confidence)
        gold = {"votes": len(errors), **found.document()}
    if near is not None and apart:
        shares = [float(np.mean([schema.is_near(d) for d in each])) for each in apart]
        alike = mean_interval(shares, confidence=confidence)
        agreement = {"items": len(shares), **alike.document()}
    return {
        "confidence": confidence,
        "gold": gold,
        "agreement": agreement,
        "distance": {
            "gold": float(np.mean(errors)) if errors else None,
            "pairs": float(np.mean([np.mean(each) for each in apart])) if apart else None,
            "unit": schema.unit,
        },
    }


def _distances(votes: Sequence[Row], schema: LabelSchema) -> list[list[float]]:
    """Return for each item with several answers of people how far apart each two of these are."""
    answers: dict[str, list[float]] = {}
    for vote in votes:
        if vote["label"] is not None and vote["source"] == "person" and vote["gold"] is None:
            answers.setdefault(vote["entity"], []).append(schema.value(vote["label"]))
    return [
        [abs(a - b) for at, a in enumerate(given) for b in given[at + 1 :]]
        for given in answers.values()
        if len(given) > 1
    ]
