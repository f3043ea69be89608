"""This module sorts the features of decisions into a map of numbers and a map of texts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import orjson

from headrace.decisions.fields import maps_of

if TYPE_CHECKING:
    import pyarrow as pa

_IS_TEXT = {str: 1, float: 0, int: 0, bool: 0, type(None): 0}
_TURNED = bytes.maketrans(b"\0\1", b"\1\0")


def feature_maps(
    columns: list[Any],
    features: list[Any],
    names: dict[int, list[str]],
    rest: list[dict[str, Any]],
) -> tuple[pa.Array, pa.Array]:
    """Return the numbers and the texts among the features of decisions, each a map from names.

    Args:
        columns: The number of each decision's list of names.
        features: The values of each decision.
        names: The lists of names that `columns` stand for.
        rest: Takes the features of a decision that do not fit its columns, and leaves its maps
            empty.

    Returns:
        Arrays of MAP(text, float64) and MAP(text, text), as long as `features`. A missing value
        is a null among the numbers; true and false are 1 and 0; lists and objects are JSON text.
    """
    import pyarrow as pa

    parts = []
    start = 0
    for number, group in itertools.groupby(columns):
        end = start + sum(1 for _ in group)
        listed, rows = names.get(number), features[start:end]
        if listed is None or set(map(type, rows)) != {list} or set(map(len, rows)) != {len(listed)}:
            for position, row in enumerate(rows):
                if listed is None or not isinstance(row, list) or len(row) != len(listed):
                    rest[start + position]["features"] = row
                    rows[position] = []
            maps = None
        else:
            maps = _at_once(rows, listed)
        parts.append(maps or _one_by_one(rows, listed or []))
        start = end
    if len(parts) == 1:
        return parts[0]
    return (
        pa.concat_arrays([numbers for numbers, _ in parts]),
        pa.concat_arrays([texts for _, texts in parts]),
    )


def _at_once(rows: list[list[Any]], names: list[str]) -> tuple[pa.Array, pa.Array] | None:
    """Return the maps of rows that hold only numbers and texts; None for other rows."""
    import pyarrow as pa

    values = list(itertools.chain.from_iterable(rows))
    try:
        is_text = bytes(map(_IS_TEXT.__getitem__, map(type, values)))
    except KeyError:
        return None
    if not values:
        return None
    is_number = is_text.translate(_TURNED)
    numbers = _floats(list(itertools.compress(values, is_number)))
    texts = pa.array(list(itertools.compress(values, is_text)), pa.string())
    keys = tuple(names)
    return maps_of(keys, is_number, numbers), maps_of(keys, is_text, texts)


def _floats(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # true, false, or a whole number that no float holds exactly
        return pa.array([None if each is None else float(each) for each in values], pa.float64())


def _one_by_one(rows: list[list[Any]], names: list[str]) -> tuple[pa.Array, pa.Array]:
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
