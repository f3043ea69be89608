"""This module checks the arrays that statistics are given; the types that they share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.errors import ParameterError

Flags: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int64]
Vector: TypeAlias = npt.NDArray[np.float64]


def vector(values: npt.ArrayLike) -> Vector:
    """Return the values as floating-point numbers."""
    return np.asarray(values, dtype=np.float64)


def require_rows(**arrays: npt.NDArray[Any]) -> None:
    """Refuse arrays that do not have one value, or one row of values, for each row.

    Args:
        arrays: By the name of the argument; the first one says how many rows there are.

    Raises:
        ParameterError: Their first axes differ, or one has none.
    """
    shapes = {name: array.shape for name, array in arrays.items()}
    rows = next(iter(shapes.values()))[:1]
    if not rows or any(shape[:1] != rows for shape in shapes.values()):
        said = ", ".join(f"'{name}' {shape}" for name, shape in shapes.items())
        raise ParameterError(
            f"The arrays do not have one value for each row: {said}.",
            remedy="Give arrays of the same length.",
        )
