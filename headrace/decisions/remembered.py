"""This module remembers where the latest decisions and outcomes lie, in a few bytes each.

Each of the two is a row of hash tables, called generations: arrays of 64-bit numbers with open
addressing. A new record costs one store, a full table is never rebuilt, and the oldest table is
dropped at once when enough decisions came after it: an answer never waits for the index.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATIONS = 4
_OFFSET_BITS = 28  # where in a segment
_SEGMENT_BITS = 20  # which segment
_PLACE_BITS = _OFFSET_BITS + _SEGMENT_BITS  # the rest of 64 bits holds the start of the key
_PLACE = (1 << _PLACE_BITS) - 1
OFFSETS = 1 << _OFFSET_BITS


def place_of(segment: int, offset: int) -> int:
    """Return one number for a place; segments count from 1."""
    return segment << _OFFSET_BITS | offset


def segment_and_offset(place: int) -> tuple[int, int]:
    """Return the segment and the offset of a place."""
    return place >> _OFFSET_BITS, place & (OFFSETS - 1)


class Generation:
    """This hash table finds the places of up to `capacity` keys; it does not grow."""

    def __init__(self, capacity: int) -> None:
        slots = 1 << (2 * capacity - 1).bit_length()
        self._mask = slots - 1
        self._slots = array("Q", bytes(8 * slots))  # 0 is empty: places begin at segment 1
        self.count = 0

    def add(self, key: int, place: int) -> None:
        """Add a place; a key may have several."""
        slots, mask = self._slots, self._mask
        slot = key & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = key >> _PLACE_BITS << _PLACE_BITS | place
        self.count += 1

    def places(self, key: int) -> Iterator[int]:
        """Yield the places of a key, and now and then one of another key."""
        slots, mask = self._slots, self._mask
        slot, start = key & mask, key >> _PLACE_BITS
        while entry := slots[slot]:
            if entry >> _PLACE_BITS == start:
                yield entry & _PLACE
            slot = (slot + 1) & mask

    def fill(self, keys: NDArray[np.uint64], places: NDArray[np.uint64]) -> None:
        """Add many places to an empty table, at once."""
        import numpy as np

        home = (keys & np.uint64(self._mask)).astype(np.int64)
        order = np.argsort(home, kind="stable")
        rank = np.arange(len(order))
        # Linear probing in order of home slots: each key goes to its own slot or the next free one.
        slot = np.maximum.accumulate(home[order] - rank) + rank
        inside = slot <= self._mask
        bits = np.uint64(_PLACE_BITS)
        table = np.frombuffer(self._slots, dtype=np.uint64)
        taken = order[inside]
        table[slot[inside]] = keys[taken] >> bits << bits | places[taken]
        self.count += len(taken)
        for late in order[~inside].tolist():  # what runs over the end begins again at the start
            self.add(int(keys[late]), int(places[late]))


class Remembered:
    """These are the places of one kind of record, while fewer than `remember` decisions follow.

    Args:
        remember: After how many later decisions a record may be forgotten.
    """

    def __init__(self, remember: int) -> None:
        self._remember = remember
        self._capacity = max(256, -(-remember // GENERATIONS))
        self._newest = Generation(self._capacity)
        self._full: list[tuple[int, Generation]] = []  # with the decisions counted when it was full

    def add(self, key: int, place: int, decisions: int) -> None:
        """Add a record; `decisions` is how many were logged until now."""
        if self._newest.count == self._capacity:
            self._turn(decisions)
        self._newest.add(key, place)

    def fill(
        self,
        keys: NDArray[np.uint64],
        places: NDArray[np.uint64],
        decisions: NDArray[np.int64],
    ) -> None:
        """Add many records, oldest first, each with how many decisions were logged until it."""
        for start in range(0, len(keys), self._capacity):
            part = slice(start, start + self._capacity)
            if start:
                self._turn(int(decisions[start]))
            self._newest.fill(keys[part], places[part])

    def places(self, key: int) -> list[int]:
        """Return the places where a record with that key may lie, oldest generation first."""
        found: list[int] = []
        for _, generation in self._full:
            found += generation.places(key)
        found += self._newest.places(key)
        return found

    def _turn(self, decisions: int) -> None:
        self._full.append((decisions, self._newest))
        self._newest = Generation(self._capacity)
        while self._full and decisions - self._full[0][0] >= self._remember:
            del self._full[0]
