"""This module takes the maps of a decision log apart: a column for each name, a row a decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class _Cells(NamedTuple):
    """These are all entries of a column of maps: name, row, and the entry's place in `items`."""

    names: list[str]
    codes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    items: pa.Array


def numbers_of(maps: pa.MapArray) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield each name that occurs in maps of numbers, with its value in every row.

    Args:
        maps: Maps from text to float64.

    Returns:
        NaN where a row has no such name, or a null.
    """
    import numpy as np

    cells = _cells(maps)
    values = cells.items.to_numpy(zero_copy_only=False)
    table = np.full((len(cells.names), len(maps)), np.nan)
    table[cells.codes, cells.rows] = values
    yield from zip(cells.names, table, strict=True)


def texts_of(maps: pa.MapArray) -> Iterator[tuple[str, pa.Array]]:
    """Yield each name that occurs in maps of texts, with its value in every row, or null.

    Args:
        maps: Maps from text to text.
    """
    import numpy as np
    import pyarrow as pa

    cells = _cells(maps)
    for code, name in enumerate(cells.names):
        here = np.flatnonzero(cells.codes == code)
        places = np.full(len(maps), -1)
        places[cells.rows[here]] = here
        yield name, cells.items.take(pa.array(places, mask=places < 0))


def _cells(maps: pa.MapArray) -> _Cells:
    import numpy as np

    offsets = maps.offsets.to_numpy()
    begin, end = int(offsets[0]), int(offsets[-1])
    keys = maps.keys.slice(begin, end - begin).dictionary_encode()
    return _Cells(
        names=keys.dictionary.to_pylist(),
        codes=keys.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        rows=np.repeat(np.arange(len(maps)), np.diff(offsets)),
        items=maps.items.slice(begin, end - begin),
    )
