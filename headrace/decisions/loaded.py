"""This module fills the index from inventories of sealed segments, a million records at a time."""

from __future__ import annotations

import ctypes
from array import array
from typing import TYPE_CHECKING, NamedTuple

from headrace.decisions.inventory import Entries, Inventory
from headrace.decisions.remembered import Remembered, place_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Loaded:
    """These are the inventories that were read, of the newest segments first.

    Args:
        remember: How many decisions are wanted.
    """

    def __init__(self, remember: int) -> None:
        self._remember = remember
        self._parts: list[tuple[int, Inventory]] = []

    def enough(self, newest: int) -> bool:
        """Say whether enough decisions were logged after the moment `newest`, in us."""
        later = sum(decisions_after(part, newest) for _, part in self._parts)
        return bool(later >= self._remember)

    def take(self, number: int, inventory: Inventory) -> None:
        """Add the inventory of the segment with that number."""
        self._parts.append((number, inventory))

    def fill(self, decisions: Remembered, outcomes: Remembered) -> int:
        """Hand everything to the index, in the order it was logged; return how many decisions."""
        import numpy as np

        found = _joined([(n, each) for n, part in self._parts for each in _found(part)])
        # what was logged until each of them: a batch counts as many decisions as it holds
        logged = np.repeat(found.logged, found.weights)
        decisions.fill(found.keys, found.places, np.cumsum(found.weights) - found.weights)
        told = _joined([(n, (part.outcomes, None)) for n, part in self._parts])
        before = np.searchsorted(logged, told.logged, side="right")
        outcomes.fill(told.keys, told.places, before)
        self._parts.clear()
        return len(logged)


def decisions_after(inventory: Inventory, moment: int) -> int:
    """Return how many decisions of a segment were logged after a moment, in us."""
    import numpy as np

    count = 0
    for entries, rows in _found(inventory):
        if len(entries):
            later = np.frombuffer(entries.logged, np.int64) > moment
            weights = 1 if rows is None else np.frombuffer(rows, np.uint32)
            count += int((later * weights).sum())
    return count


def moments_of(inventory: Inventory) -> NDArray[np.int64]:
    """Return when each decision of a segment was logged, in us."""
    import numpy as np

    found = _joined([(0, each) for each in _found(inventory)])
    return np.repeat(found.logged, found.weights)


def give_back_memory() -> None:
    """Return freed memory to the system, which the C library would keep for this process."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others return it themselves
    if trim:
        trim(0)


class _Joined(NamedTuple):
    """These are entries of several segments, in the order they were logged."""

    keys: NDArray[np.uint64]
    places: NDArray[np.uint64]
    logged: NDArray[np.int64]
    weights: NDArray[np.int64]


_Part = tuple[Entries, "array[int] | None"]


def _found(inventory: Inventory) -> list[_Part]:
    """Return what decisions are found by, with how many each entry stands for; None for one."""
    return [(inventory.decisions, None), (inventory.batches, inventory.rows)]


def _joined(parts: list[tuple[int, _Part]]) -> _Joined:
    import numpy as np

    filled = [(number, entries, rows) for number, (entries, rows) in parts if len(entries)]
    if not filled:
        nothing = np.empty(0, np.int64)
        return _Joined(np.empty(0, np.uint64), np.empty(0, np.uint64), nothing, nothing)
    logged = np.concatenate([np.frombuffer(each.logged, np.int64) for _, each, _ in filled])
    order = np.argsort(logged, kind="stable")
    keys = np.concatenate([np.frombuffer(each.keys, np.uint64) for _, each, _ in filled])
    places = np.concatenate(
        [
            np.frombuffer(each.offsets, np.uint32) + np.uint64(place_of(number, 0))
            for number, each, _ in filled
        ]
    )
    weights = np.concatenate(
        [
            np.ones(len(each), np.int64)
            if rows is None
            else np.frombuffer(rows, np.uint32).astype(np.int64)
            for _, each, rows in filled
        ]
    )
    return _Joined(keys[order], places[order], logged[order], weights[order])
