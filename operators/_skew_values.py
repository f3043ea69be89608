"""This module compares what was served with what the offline join gives: exactly, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """This is what came of comparing one feature.

    Args:
        used: The rows that were compared.
        equal: Of all rows, those whose two values are the same.
        served: What the model was given, as plain values.
        offline: What the offline join gives.
    """

    used: Flags
    equal: Flags
    served: Sequence[Any]
    offline: Sequence[Any]

    @property
    def differing(self) -> list[int]:
        """The positions of the rows that were compared and differ."""
        import numpy as np

        found: list[int] = np.flatnonzero(self.used & ~self.equal).tolist()
        return found


def compare(served: pa.ChunkedArray, offline: pa.ChunkedArray, used: Flags) -> Compared:
    """Compare two columns row by row; null and NaN are the same, 0.0 and -0.0 are not.

    An infinite number is null in the decision log, and so it is here.

    Args:
        served: Numbers or text, as the decision log has them.
        offline: The feature, of any type that a model takes.
        used: Which rows count.
    """
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_string(served.type) or is_.is_large_string(served.type):
        ours, theirs = served.to_pylist(), offline.cast(pa.string()).to_pylist()
        return Compared(used=used, equal=_same(ours, theirs), served=ours, offline=theirs)
    first, second = _numbers(served), _numbers(offline)
    return Compared(
        used=used,
        equal=first.view("int64") == second.view("int64"),
        served=_plain(first),
        offline=_plain(second),
    )


def _same(ours: Sequence[Any], theirs: Sequence[Any]) -> Flags:
    import numpy as np

    pairs = (a == b for a, b in zip(ours, theirs, strict=True))
    return np.fromiter(pairs, np.bool_, len(ours))


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return a column as floats of which all that are no finite number are one and the same NaN."""
    import numpy as np
    import pyarrow as pa

    numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    floats = np.array(numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    floats[~np.isfinite(floats)] = np.nan
    return floats


def _plain(numbers: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if isnan(value) else value for value in numbers.tolist()]
