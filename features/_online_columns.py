"""This module writes whole columns as Feast keeps them online: what `_online_encode` does by value.

A column is an Arrow array of plain values (instants and dates in microseconds since 1970); what
comes back is a list of values and one of their texts, for binding to a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from features._online_encode import ENCODERS, NULL, NULL_INSTANT
from features._online_times import SECOND, feast_seconds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Cells = tuple[list[bytes], list[str | None]]
    Bytes = npt.NDArray[np.uint8]
    Ints = npt.NDArray[np.int64]

_DOUBLE, _INT, _INSTANT = 0x29, 0x20, 0x40  # tags of Feast's `Value`
_QUARTER = 15 * 60  # seconds; no zone changes its offset within such a quarter of an hour


def _floats(column: pa.Array) -> Cells:
    import numpy as np

    values = column.to_numpy(zero_copy_only=False).astype(np.float64)  # nulls become NaN
    cells = np.empty((len(values), 9), np.uint8)
    cells[:, 0] = _DOUBLE
    cells[:, 1:] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    written, texts = as_bytes(cells), [str(value) for value in values.tolist()]
    return _blanked(written, texts, np.flatnonzero(np.isnan(values)))


def _ints(column: pa.Array) -> Cells:
    import numpy as np

    values = column.fill_null(0).to_numpy()
    texts = [str(value) for value in values.tolist()]
    missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    return _blanked(_tagged(_INT, values), texts, missing)


def _bools(column: pa.Array) -> Cells:
    encode = ENCODERS["bool"]
    cells = {value: encode(value) for value in (True, False, None)}
    written = [cells[value] for value in column.to_pylist()]
    return [value for value, _ in written], [text for _, text in written]


def _texts(column: pa.Array) -> Cells:
    import numpy as np

    # each text once: most columns repeat theirs
    coded = column.dictionary_encode()
    encode = ENCODERS["string"]
    cells = [encode(text) for text in coded.dictionary.to_pylist()] + [(NULL, None)]
    indices = coded.indices.fill_null(len(cells) - 1).to_numpy(zero_copy_only=False)
    values = np.empty(len(cells), object)
    texts = np.empty(len(cells), object)
    values[:] = [value for value, _ in cells]
    texts[:] = [text for _, text in cells]
    return values[indices].tolist(), texts[indices].tolist()


def _instants(column: pa.Array) -> Cells:
    import pyarrow as pa

    seconds = column.fill_null(0).to_numpy() // SECOND
    missing = column.is_null().to_numpy(zero_copy_only=False)
    seconds[missing] = NULL_INSTANT
    return _tagged(_INSTANT, seconds), pa.nulls(len(column)).to_pylist()


# by logical type
COLUMNS: dict[str, Callable[[Any], Cells]] = {
    "float": _floats,
    "int": _ints,
    "bool": _bools,
    "string": _texts,
    "category": _texts,
    "timestamp": _instants,
    "date": _instants,
}


def as_bytes(cells: Bytes) -> list[bytes]:
    """Return each row of a matrix of bytes."""
    import numpy as np

    rows: list[bytes] = np.ascontiguousarray(cells).view(f"V{cells.shape[1]}").ravel().tolist()
    return rows


def feast_seconds_of(instants: Ints) -> list[int]:
    """Return `feast_seconds` of many instants."""
    import numpy as np

    quarters, which = np.unique(instants // (_QUARTER * SECOND), return_inverse=True)
    begins = (quarters * _QUARTER).tolist()
    # what the wall clock of this machine is off by, which Feast writes into its times
    offsets = np.array([feast_seconds(begin * SECOND) - begin for begin in begins], np.int64)
    shifted = instants + offsets[which] * SECOND
    seconds: list[int] = (np.sign(shifted) * (np.abs(shifted) // SECOND)).tolist()  # towards zero
    return seconds


def _tagged(tag: int, numbers: Ints) -> list[bytes]:
    """Return each number as a tag and a varint."""
    import numpy as np

    left = numbers.astype(np.int64).view(np.uint64)
    cells = np.zeros((len(left), 11), np.uint8)
    cells[:, 0] = tag
    width = np.full(len(left), 2)
    for position in range(1, 11):
        cells[:, position] = left & np.uint64(0x7F)
        left = left >> np.uint64(7)
        more = left > 0
        if not more.any():
            break
        cells[more, position] |= 0x80
        width[more] += 1
    written = np.empty(len(left), object)
    for size in np.unique(width).tolist():
        alike = width == size
        written[alike] = as_bytes(cells[alike, :size])
    values: list[bytes] = written.tolist()
    return values


def _blanked(values: list[bytes], texts: list[Any], missing: npt.NDArray[np.intp]) -> Cells:
    for position in missing.tolist():
        values[position], texts[position] = NULL, None
    return values, texts
