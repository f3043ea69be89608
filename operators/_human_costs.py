"""This module counts what people's votes cost, and how good they are, from what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.labels.schema import LabelSchema
from operators._human_numbers import quality_of_numbers
from operators._proportions import mean_interval, wilson

PEOPLE = ("person", "adjudicator")
Row = Mapping[str, Any]


def of_people(rows: Sequence[Row]) -> list[Row]:
    """Return the votes that people gave."""
    return [row for row in rows if row["source"] in PEOPLE]


def human_costs(
    votes: Sequence[Row], *, idle_seconds: float, assumed_seconds: float | None
) -> dict[str, Any]:
    """Return what votes cost their raters.

    Args:
        votes: People's votes, skips among them, which take time too.
        idle_seconds: A vote that took longer counts as this: somebody was away.
        assumed_seconds: What a vote counts that nobody timed; None for the mean of those timed.

    Returns:
        votes, skips, items, seconds (None where nothing is known), median, mean, per_item, capped
        (votes over `idle_seconds`) and untimed.
    """
    timed = [min(float(v["seconds"]), idle_seconds) for v in votes if v["seconds"] is not None]
    untimed = len(votes) - len(timed)
    items = len({v["entity"] for v in votes if v["label"] is not None})
    each = assumed_seconds if assumed_seconds is not None else _mean(timed)
    seconds = sum(timed) + untimed * each if each is not None else (0.0 if not votes else None)
    return {
        "votes": sum(v["label"] is not None for v in votes),
        "skips": sum(v["label"] is None for v in votes),
        "items": items,
        "seconds": seconds,
        "median": float(np.median(timed)) if timed else None,
        "mean": _mean(timed),
        "per_item": seconds / items if items and seconds is not None else None,
        "capped": sum(v["seconds"] is not None and v["seconds"] > idle_seconds for v in votes),
        "untimed": untimed,
    }


def costs_by_batch(
    votes: Sequence[Row], *, idle_seconds: float, assumed_seconds: float | None
) -> list[dict[str, Any]]:
    """Return the same for each batch, in the order in which they were first answered."""
    batches: dict[str, list[Row]] = {}
    for vote in sorted(votes, key=lambda v: (v["voted_at"], v["batch"])):
        batches.setdefault(vote["batch"], []).append(vote)
    return [
        {
            "batch": batch,
            **human_costs(of, idle_seconds=idle_seconds, assumed_seconds=assumed_seconds),
        }
        for batch, of in batches.items()
    ]


def quality_of(
    votes: Sequence[Row], *, confidence: float, schema: LabelSchema | None = None
) -> dict[str, Any]:
    """Return how good people's votes are: on items whose answer is known, and with each other.

    Args:
        votes: People's votes.
        confidence: Of the intervals.
        schema: What could be answered. Numbers are right or the same within its tolerance; without
            one they are told by how far apart they are.

    Returns:
        gold {votes, value, low, high}: the share of votes on gold items that are right; and
        agreement {items, value, low, high}: the mean over other items of two votes or more of the
        share of pairs that are the same. None where there is nothing to tell by. Of numbers also
        `distance` {gold, pairs, unit}: the mean distance from what is known, and of two answers
        about an item from each other.
    """
    if schema is not None and schema.kind == "number":
        return quality_of_numbers(votes, schema, confidence=confidence)
    known = [v["label"] == v["gold"] for v in votes if v["gold"] is not None and v["label"]]
    right = wilson(sum(known), len(known), confidence=confidence)
    pairs = agreeing_pairs([v for v in votes if v["gold"] is None])
    alike = mean_interval(pairs, confidence=confidence)
    return {
        "confidence": confidence,
        "gold": {"votes": len(known), **right.document()} if known else None,
        "agreement": {"items": len(pairs), **alike.document()} if pairs else None,
    }


def agreeing_pairs(votes: Sequence[Row]) -> list[float]:
    """Return for each item with several answers the share of pairs of these that are the same."""
    answers: dict[str, list[str]] = {}
    for vote in votes:
        if vote["label"] is not None and vote["source"] == "person":
            answers.setdefault(vote["entity"], []).append(vote["label"])
    shares = []
    for given in answers.values():
        count = len(given)
        if count > 1:
            same = sum(n * (n - 1) for n in (given.count(label) for label in set(given)))
            shares.append(same / (count * (count - 1)))
    return shares


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
