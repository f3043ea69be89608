"""This module numbers the entities of a join: equal keys have equal numbers on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Column: TypeAlias = pa.Array | pa.ChunkedArray

UNKNOWN = -1


class KeyNumbers:
    """This numbers the keys that rows have, and finds the same numbers for other rows' keys.

    Args:
        columns: The key columns of the rows, any number; none stand for one entity, number 0.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        import pyarrow.compute as pc

        self._values = [pc.drop_null(pc.unique(_plain(column))) for column in columns]
        self._pairs: list[Ints] = []
        self.numbers = self._numbered(columns, learn=True)
        self.count = 1
        if columns:
            self.count = len(self._pairs[-1]) if self._pairs else len(self._values[0])

    def of(self, columns: Sequence[Column], rows: int) -> Ints:
        """Return the number of each row's key, `UNKNOWN` (-1) for nulls and keys never seen."""
        import numpy as np

        return self._numbered(columns, learn=False) if columns else np.zeros(rows, np.int64)

    def _numbered(self, columns: Sequence[Column], *, learn: bool) -> Ints:
        import numpy as np

        numbers = np.zeros(0, np.int64)
        for i, (column, values) in enumerate(zip(columns, self._values, strict=True)):
            own = _positions(column, values)
            if i == 0:
                numbers = own
                continue
            # each side is below the number of its values, so that the product fits in 62 bits
            both = np.where((numbers < 0) | (own < 0), UNKNOWN, numbers * len(values) + own)
            if learn:
                self._pairs.append(np.unique(both[both >= 0]))
            numbers = _found(both, self._pairs[i - 1])
        return numbers


def _found(numbers: Ints, known: Ints) -> Ints:
    """Return the positions of `numbers` in `known`, which is sorted; `UNKNOWN` if not there."""
    import numpy as np

    if not len(known):
        return np.full(len(numbers), UNKNOWN)
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.where(known[at] == numbers, at, UNKNOWN)


def _positions(column: Column, values: pa.Array) -> Ints:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _plain(column)
    if pa.types.is_integer(column.type) and column.type != values.type:
        column, values = _as_wide(column), _as_wide(values)
    elif column.type != values.type:
        column = column.cast(values.type)
    found = pc.index_in(column, value_set=values, skip_nulls=True).fill_null(UNKNOWN)
    return np.asarray(found, dtype=np.int64)


def _as_wide(column: Column) -> Column:
    """Return integers in 64 bits with a sign; those that do not fit can equal none: null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_uint64(column.type):
        column = pc.if_else(
            pc.less(column, pa.scalar(1 << 63, pa.uint64())), column, pa.scalar(None, pa.uint64())
        )
    return column.cast(pa.int64())


def _plain(column: Column) -> Column:
    """Return a key without dictionary encoding, whose categories may differ between tables."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # one type of text, wide enough for any column
    text = "string" in str(column.type) or "utf8" in str(column.type)
    return column.cast(pa.large_string()) if text else column
