"""This module settles ties in a way that depends on the item alone, not on the order of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators._dawid_skene import Floats, Integers

Booleans = npt.NDArray[np.bool_]

_EQUAL = 1e-9


def drawn_by_name(entity: str, options: Sequence[str]) -> int:
    """Return which option an item draws: the one whose SHA-256, with the item's, is the least.

    It favours no option, as the first in a list would be, and is the same for ever.
    """

    def rank(at: int) -> str:
        return hashlib.sha256(f"{entity}\x00{options[at]}".encode()).hexdigest()

    return min(range(len(options)), key=rank)


def first_places(
    scores: Floats,
    *,
    entities: Sequence[str],
    options: Sequence[str],
    then: Sequence[Floats] = (),
) -> tuple[Integers, Integers]:
    """Return the best option of each item, and how many shared the first place by score.

    Args:
        scores: Of each option for each item, `(items, options)`.
        entities: Names of the items, by which ties are drawn in the end.
        options: Names of the options.
        then: What decides between those that share the first place, one after the other.
    """
    best = _best(scores, np.ones(scores.shape, dtype=bool))
    shared = best.sum(axis=1)
    for deciding in then:
        best = _best(deciding, best)
    chosen = best.argmax(axis=1)
    for row in np.flatnonzero(best.sum(axis=1) > 1).tolist():
        left = np.flatnonzero(best[row]).tolist()
        chosen[row] = left[drawn_by_name(entities[row], [options[at] for at in left])]
    return chosen, shared


def _best(scores: Floats, among: Booleans) -> Booleans:
    masked = np.where(among, scores, -np.inf)
    near: Booleans = masked >= masked.max(axis=1, keepdims=True) - _EQUAL
    return among & near
