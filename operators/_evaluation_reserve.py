"""This module says which items are kept for evaluation: a hash of the item decides, for ever.

Models are judged on items that chance chose and that nothing was learnt from. An item's place, a
number drawn from its name, says whether it belongs there, so every round, every machine and every
order of the rows agree without a list that somebody must keep. Items are asked for in ascending
place: those that were asked so far are a uniform sample of the whole pool, new rows included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.float64]
Members: TypeAlias = npt.NDArray[np.bool_]

DEFAULT_SHARE = 0.2
_STEPS = 2**53  # as many numbers as a float tells apart evenly in [0, 1)


def place(entity: Any, salt: str = "") -> float:
    """Return an item's place, a number of [0, 1) that depends on its name and the salt alone.

    Args:
        entity: What the item is; compared as text, so that 7 and "7" are one item.
        salt: Tells apart what is to be drawn independently, such as two tasks on one pool.
    """
    digest = hashlib.sha256(f"{len(salt)}:{salt}{entity}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / _STEPS


def places(entities: Iterable[Any], salt: str = "") -> Places:
    """Return the places of items, in their order."""
    return np.array([place(entity, salt) for entity in entities], dtype=np.float64)


def in_reserve(entities: Iterable[Any], *, share: float = DEFAULT_SHARE, salt: str = "") -> Members:
    """Return which items are kept for evaluation, and so are never trained on.

    Args:
        entities: What the items are.
        share: Share of all items that is kept; a larger share keeps those of a smaller one too.
        salt: The same in every round, or other items are kept.
    """
    members: Members = places(entities, salt) < share
    return members
