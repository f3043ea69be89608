"""This module fills the index from inventories of sealed segments, a million records at a time."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

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
        import numpy as np

        later = sum(
            np.count_nonzero(np.frombuffer(part.decisions.logged, np.int64) > newest)
            for _, part in self._parts
            if part.decisions.logged
        )
        return bool(later >= self._remember)

    def take(self, number: int, inventory: Inventory) -> None:
        """Add the inventory of the segment with that number."""
        self._parts.append((number, inventory))

    def fill(self, decisions: Remembered, outcomes: Remembered) -> int:
        """Hand everything to the index, in the order it was logged; return how many decisions."""
        import numpy as np

        keys, places, logged = _joined([(n, part.decisions) for n, part in self._parts])
        decisions.fill(keys, places, np.arange(len(keys)))
        keys, places, known = _joined([(n, part.outcomes) for n, part in self._parts])
        outcomes.fill(keys, places, np.searchsorted(logged, known, side="right"))
        self._parts.clear()
        return len(logged)


def give_back_memory() -> None:
    """Return freed memory to the system, which the C library would keep for this process."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others return it themselves
    if trim:
        trim(0)


def _joined(
    parts: list[tuple[int, Entries]],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    import numpy as np

    filled = [(number, entries) for number, entries in parts if len(entries)]
    if not filled:
        return np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64)
    logged = np.concatenate([np.frombuffer(each.logged, np.int64) for _, each in filled])
    order = np.argsort(logged, kind="stable")
    keys = np.concatenate([np.frombuffer(each.keys, np.uint64) for _, each in filled])
    places = np.concatenate(
        [
            np.frombuffer(each.offsets, np.uint32) + np.uint64(place_of(number, 0))
            for number, each in filled
        ]
    )
    return keys[order], places[order], logged[order]
