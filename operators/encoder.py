"""This module compiles a model's encoding for rows as requests bring them: lists of values."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from headrace.errors import DataError
from headrace.models import ModelCard
from operators._encoding import Matrix, _wrong_type, encode

# Of other types, such as text or numpy's numbers, `encode` says what they are worth.
_PLAIN = frozenset((float, int, bool, type(None)))
_UNKNOWN = float("nan")
# numpy would take a list for a row of its own, and has no word for integers beyond all floats.
_CONTAINERS = (list, tuple, dict, set, np.ndarray)
_LARGEST = int(np.finfo(np.float32).max)


def compile_encoder(card: ModelCard) -> Callable[[Sequence[Sequence[Any]]], Matrix]:
    """Return a function that encodes rows as `encode` does, in a few microseconds a row.

    Args:
        card: The model's card.

    Returns:
        From rows to the matrix of `encode`. A row holds a value for each feature in the order of
        the card: None for null, text for a category, a number, true or false. It raises DataError
        as `encode` does, and where a row has too few or too many values.
    """
    width = len(card.features)
    codes = [
        (position, {value: float(code) for code, value in enumerate(feature.categories)}.get)
        for position, feature in enumerate(card.features)
        if feature.categories is not None
    ]
    write = struct.Struct(f"={width}f").pack_into

    def one(row: Sequence[Any]) -> Matrix:
        values = list(row)
        for position, code in codes:
            values[position] = code(values[position], _UNKNOWN)
        if not _PLAIN.issuperset(map(type, values)):
            raise TypeError
        matrix = np.empty((1, width), dtype=np.float32)
        write(matrix.data, 0, *[_UNKNOWN if value is None else value for value in values])
        return matrix

    def many(rows: Sequence[Sequence[Any]]) -> Matrix:
        values = list(chain.from_iterable(rows))
        for position, code in codes:
            values[position::width] = [code(v, _UNKNOWN) for v in values[position::width]]
        if not _PLAIN.issuperset(map(type, values)):
            raise TypeError
        with np.errstate(over="ignore"):
            return np.array(values, dtype=np.float32).reshape(len(rows), width)

    def encoded(rows: Sequence[Sequence[Any]]) -> Matrix:
        if not all(len(row) == width for row in rows):
            raise _wrong_length(rows, card)
        try:
            matrix = one(rows[0]) if len(rows) == 1 else many(rows)
        except (TypeError, OverflowError, struct.error):
            return _by_columns(rows, card)
        return _by_columns(rows, card) if np.count_nonzero(np.isinf(matrix)) else matrix

    return encoded


def _by_columns(rows: Sequence[Sequence[Any]], card: ModelCard) -> Matrix:
    """Return what `encode` makes of the rows, or raise what it raises."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for feature, values in zip(card.features, columns, strict=True):
        for number, value in enumerate(values):
            if isinstance(value, _CONTAINERS):
                raise _wrong_type(feature, value)
            if feature.categories is None and type(value) is int and abs(value) > _LARGEST:
                raise DataError(
                    f"Feature '{feature.name}' is infinite in row {number:,}, or too large for a "
                    "32-bit number.",
                    remedy="Correct the feature view, or give a null where the value is not known.",
                )
    return encode(dict(zip(card.feature_names, columns, strict=True)), card)


def _wrong_length(rows: Sequence[Sequence[Any]], card: ModelCard) -> DataError:
    number, row = next((i, r) for i, r in enumerate(rows) if len(r) != len(card.features))
    return DataError(
        f"Row {number:,} has {len(row):,} values, but the {card.flavor} model has "
        f"{len(card.features):,} features.",
        remedy="Give every feature of the model's card, in its order; a null where it is not "
        "known.",
    )
