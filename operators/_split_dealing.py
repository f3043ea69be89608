"""This module deals rows and groups to the sets of a split that is not by time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]


def group_codes(table: pa.Table, group: str) -> tuple[Ints, list[Any]]:
    """Return each row's group as a number, and the groups' names in order of these numbers."""
    import numpy as np

    column = table.column(group).combine_chunks()
    if column.null_count:
        raise DataError(
            f"The group column '{group}' holds {column.null_count:,} nulls, the first in row "
            f"{column.is_null().index(True).as_py():,}: it is unknown which rows belong together.",
            remedy="Drop these rows, or give each a group of its own.",
        )
    encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    present, dense = np.unique(codes, return_inverse=True)
    names = encoded.dictionary.take(present.tolist()).to_pylist()
    return dense.astype(np.int64), names


def shuffled_groups(names: Sequence[Any], seed: int) -> list[int]:
    """Return the groups' numbers in an order that depends on names and seed, not on row order."""

    def key(i: int) -> bytes:
        return hashlib.sha256(f"{seed}\0{names[i]!r}".encode()).digest()

    return sorted(range(len(names)), key=key)


def whole_groups(codes: Ints, order: Sequence[int], shares: Sequence[float]) -> Ints:
    """Return for each group its set: groups are dealt in order until a share of rows is met.

    A group goes where the middle of its rows falls, so no set is more than half a group off.
    """
    import numpy as np

    sizes = np.bincount(codes, minlength=len(order))[list(order)]
    middle = (np.cumsum(sizes) - sizes / 2) / len(codes)
    part: Ints = np.empty(len(order), dtype=np.int64)
    part[list(order)] = np.searchsorted(np.cumsum(shares)[:2], middle, side="right")
    return part


def random_parts(rows: int, shares: Sequence[float], seed: int) -> Ints:
    """Return for each row its set; the sizes are the shares, rounded."""
    import numpy as np

    part: Ints = np.empty(rows, dtype=np.int64)
    rank = (np.arange(rows) + 0.5) / max(rows, 1)
    dealt = np.searchsorted(np.cumsum(shares)[:2], rank, side="right")
    part[np.random.default_rng(seed).permutation(rows)] = dealt
    return part
