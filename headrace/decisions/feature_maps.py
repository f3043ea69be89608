"""This module sorts the features of decisions into a map of numbers and a map of texts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_NUMBERS = {float, int, type(None)}
_TEXTS = {str, type(None)}


def feature_maps(
    documents: list[dict[str, Any]], names: dict[int, list[str]], rest: list[dict[str, Any]]
) -> tuple[pa.Array, pa.Array]:
    """Return the numbers and the texts among the features of decisions, each a map from names.

    Args:
        documents: The decisions.
        names: The lists of names that their `columns` stand for.
        rest: Takes the features of a decision that do not fit its columns, and leaves its maps
            empty.

    Returns:
        Arrays of MAP(text, float64) and MAP(text, text), as long as `documents`. A missing value
        is a null in one of the two; true and false are 1 and 0; lists and objects are JSON text.
    """
    import pyarrow as pa

    parts = []
    for columns, group in itertools.groupby(
        zip(documents, rest, strict=True), key=lambda pair: pair[0].get("columns", -1)
    ):
        rows: list[list[Any]] = []
        listed = names.get(columns)
        regular = listed is not None
        for document, more in group:
            values = document.get("features")
            if listed is None or not isinstance(values, list) or len(values) != len(listed):
                more["features"] = values
                values, regular = [], False
            rows.append(values)
        fast = _regular(rows, listed) if regular and listed else None
        parts.append(fast or _irregular(rows, listed or []))
    return (
        pa.concat_arrays([numbers for numbers, _ in parts]),
        pa.concat_arrays([texts for _, texts in parts]),
    )


def _regular(rows: list[list[Any]], names: list[str]) -> tuple[pa.Array, pa.Array] | None:
    """Return the maps of rows whose columns hold either numbers or texts; None for other rows."""
    import numpy as np
    import pyarrow as pa

    flat = list(itertools.chain.from_iterable(rows))
    kinds = list(map(type, flat))
    width = len(names)
    column_kinds = [set(kinds[position::width]) for position in range(width)]
    numbers = [position for position in range(width) if column_kinds[position] <= _NUMBERS]
    texts = [position for position in range(width) if not column_kinds[position] <= _NUMBERS]
    if not all(column_kinds[position] <= _TEXTS for position in texts):
        return None
    cells: NDArray[np.object_] = np.empty((len(rows), width), dtype=object)
    cells.reshape(-1)[:] = flat
    try:
        return (
            _columns_map(cells, numbers, names, pa.float64()),
            _columns_map(cells, texts, names, pa.string()),
        )
    except (pa.ArrowInvalid, OverflowError):  # a whole number that no float holds exactly
        return None


def _columns_map(
    cells: NDArray[np.object_], chosen: list[int], names: list[str], of: pa.DataType
) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    rows = len(cells)
    keys = pa.array([names[position] for position in chosen], pa.string())
    return pa.MapArray.from_arrays(
        pa.array(np.arange(rows + 1, dtype=np.int32) * len(chosen)),
        keys.take(pa.array(np.tile(np.arange(len(chosen)), rows))),
        pa.array(cells[:, chosen].ravel().tolist(), of),
    )


def _irregular(rows: list[list[Any]], names: list[str]) -> tuple[pa.Array, pa.Array]:
    """Return the maps of any rows, value by value; an empty row gives empty maps."""
    import pyarrow as pa

    numbers: list[list[tuple[str, float | None]]] = []
    texts: list[list[tuple[str, str]]] = []
    for row in rows:
        numbers.append([])
        texts.append([])
        for name, value in zip(names, row, strict=False):
            if value is None or isinstance(value, int | float):
                numbers[-1].append((name, None if value is None else float(value)))
            else:
                text = value if isinstance(value, str) else orjson.dumps(value).decode()
                texts[-1].append((name, text))
    return (
        pa.array(numbers, pa.map_(pa.string(), pa.float64())),
        pa.array(texts, pa.map_(pa.string(), pa.string())),
    )
