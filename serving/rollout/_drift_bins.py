"""This module parts the values of a feature into bins, and compares how many fall into each.

Numbers are compared as a model sees them, in 32 bits: a batch carries them so, and a value that
lies on an edge must fall to the same side whichever way it came.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_BINS = 10
_MOST_CATEGORIES = 254  # as many as a model knows; rarer ones share a bin
_HALF = 0.5  # added to every count, so that an empty bin is improbable and not impossible


def bins_of_numbers(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Return ten bins with about equal counts; equal values stay together, and so do nulls.

    Args:
        values: Of the training set, NaN for null.
    """
    numbers = _as_seen(values)
    there = numbers[~np.isnan(numbers)]
    if not there.size:
        return {"edges": [], "counts": [0], "nulls": int(numbers.size)}
    inner = np.quantile(there, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    # beyond what training saw there are two bins of their own
    edges = np.unique([np.nextafter(there.min(), np.float32(-np.inf)), *inner, there.max()])
    return {
        "edges": [float(edge) for edge in edges],
        "counts": _into(edges, there).tolist(),
        "nulls": int(numbers.size - there.size),
    }


def bins_of_texts(values: Mapping[str | None, int]) -> dict[str, Any]:
    """Return about ten bins of categories; frequent ones are by themselves, and so are nulls.

    Args:
        values: How often each occurs in the training set; None is null.
    """
    there = {value: n for value, n in values.items() if value is not None and n}
    ranked = sorted(there, key=lambda value: (-there[value], value))
    known, rest = ranked[:_MOST_CATEGORIES], ranked[_MOST_CATEGORIES:]
    share = sum(there.values()) / _BINS
    groups: list[list[str]] = []
    counts: list[int] = []
    for value in known:
        if not groups or counts[-1] >= share:
            groups.append([])
            counts.append(0)
        groups[-1].append(value)
        counts[-1] += there[value]
    # what training never saw; and, of a feature with very many, what it rarely saw
    counts.append(sum(there[value] for value in rest))
    return {"groups": groups, "counts": counts, "nulls": int(values.get(None, 0))}


def counts_of_numbers(bins: Mapping[str, Any], values: npt.NDArray[Any]) -> list[int]:
    """Return how many values fall into each bin, nulls last.

    Args:
        bins: As `bins_of_numbers` made them.
        values: NaN for null.
    """
    numbers = _as_seen(values)
    there = numbers[~np.isnan(numbers)]
    found: list[int] = _into(np.array(bins["edges"]), there).tolist()
    return [*found, int(numbers.size - there.size)]


def counts_of_texts(bins: Mapping[str, Any], values: Mapping[str | None, int]) -> list[int]:
    """Return how many values fall into each bin, nulls last.

    Args:
        bins: As `bins_of_texts` made them.
        values: How often each occurs; None is null.
    """
    groups: Sequence[Sequence[str]] = bins["groups"]
    place = {value: at for at, group in enumerate(groups) for value in group}
    counts = [0] * (len(groups) + 2)
    for value, n in values.items():
        at = len(groups) + 1 if value is None else place.get(value, len(groups))
        counts[at] += n
    return counts


def stability_index(then: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of counts in the same bins.

    Bins that are empty then and now do not count.

    Args:
        then: In the training set.
        now: In the decisions.
    """
    pairs = [(a, b) for a, b in zip(then, now, strict=True) if a or b]
    before = sum(a for a, _ in pairs) + _HALF * len(pairs)
    after = sum(b for _, b in pairs) + _HALF * len(pairs)
    index = 0.0
    for a, b in pairs:
        old, new = (a + _HALF) / before, (b + _HALF) / after
        index += (new - old) * math.log(new / old)
    return index


def _as_seen(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)


def _into(edges: npt.NDArray[Any], values: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Return how many values fall into each bin, which ends with its edge."""
    places = np.searchsorted(edges.astype(np.float32), values, side="left")
    return np.bincount(places, minlength=edges.size + 1)
