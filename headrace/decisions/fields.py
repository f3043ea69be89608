"""This module holds the columns of the tables of a log, and turns values of documents into them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

Document = dict[str, Any]
# In DuckDB `at` is a word of its own, which a query would have to quote; hence `decided_at`.
RENAMED = {"at": "decided_at"}
FIELDS: dict[str, dict[str, str]] = {
    "decisions": {
        "id": "text",
        "at": "instant",
        "logged": "instant",
        "model": "text",
        "score": "number",
        "answer": "json",
        "entity": "texts",
        "columns": "integer",
        "overridden": "names",
        "missing": "names",
        "generation": "integer",
        "experiment": "text",
        "candidates": "names",
        "propensities": "numbers",
        "assigned": "text",
        "unit": "text",
        "fallback": "text",
        "experiments": "names",
        "client": "text",
        "batch": "text",
        "rank": "integer",
    },
    "shadows": {
        "id": "text",
        "logged": "instant",
        "model": "text",
        "score": "number",
        "error": "text",
        "ms": "number",
        "experiment": "text",
    },
    "outcomes": {
        "id": "text",
        "known_at": "instant",
        "logged": "instant",
        "value": "number",
        "name": "text",
        "corrects": "flag",
        "source": "text",
        "late": "flag",
    },
}


class _Unfit(Exception):
    pass


def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema of "decisions", "shadows" or "outcomes"."""
    import pyarrow as pa

    types = _types()
    fields = [(RENAMED.get(name, name), types[kind]) for name, kind in FIELDS[table].items()]
    if table == "decisions":
        fields += [
            ("features", pa.map_(pa.string(), pa.float64())),
            ("texts", pa.map_(pa.string(), pa.string())),
        ]
    fields += [("more", pa.string()), ("segment", pa.string()), ("place", pa.int64())]
    return pa.schema(fields)


def values_of(documents: list[Document]) -> dict[str, list[Any]]:
    """Return the values of each key that occurs in documents, with null where it does not."""
    keys = documents[0].keys()
    if set(map(len, documents)) == {len(keys)}:
        try:
            return {key: list(map(itemgetter(key), documents)) for key in keys}
        except KeyError:  # as many, but others
            pass
    found = dict.fromkeys(itertools.chain.from_iterable(documents))
    return {key: [document.get(key) for document in documents] for key in found}


def column_of(values: list[Any], name: str, kind: str, rest: list[Document]) -> pa.Array:
    """Return a column; what does not fit is null there, and goes to `rest`."""
    import pyarrow as pa

    of = _types()[kind]
    if set(map(type, values)) <= _PLAIN[kind]:
        try:
            return _AT_ONCE.get(kind, pa.array)(values, of)
        except (
            _Unfit,  # not all alike
            pa.ArrowInvalid,  # in a list, or too large a number
            pa.ArrowTypeError,
            OverflowError,
        ):
            pass
    taken: list[Any] = []
    for value, more in zip(values, rest, strict=True):
        try:
            taken.append(None if value is None else _TAKE[kind](value))
        except _Unfit:
            taken.append(None)
            more[name] = value
    return pa.array(taken, of)


def maps_of(names: tuple[str, ...], there: bytes, items: pa.Array) -> pa.Array:
    """Return a column of maps.

    Args:
        names: The keys that may occur in a row, in their order.
        there: For each name of each row a byte, not 0 where the row has it.
        items: The items of all rows, of the names they have.
    """
    import pyarrow as pa

    return pa.MapArray.from_arrays(*_offsets_and_keys(names, there), items)


@lru_cache(maxsize=16)  # most batches of a log are alike in this
def _offsets_and_keys(names: tuple[str, ...], there: bytes) -> tuple[pa.Array, pa.Array]:
    import numpy as np
    import pyarrow as pa

    cells = np.frombuffer(there, dtype=bool).reshape(-1, len(names))
    offsets = np.zeros(len(cells) + 1, dtype=np.int32)
    np.cumsum(cells.sum(axis=1), out=offsets[1:])
    keys = pa.array(names, pa.string()).take(pa.array(cells.nonzero()[1]))
    return pa.array(offsets), keys


def _texts_at_once(values: list[dict[str, Any]], of: pa.DataType) -> pa.Array:
    """Return the maps of objects that have the same keys, and only texts."""
    import pyarrow as pa

    keys = set(map(tuple, values))
    items = list(itertools.chain.from_iterable(map(dict.values, values)))
    if len(keys) != 1 or not items or not set(map(type, items)) <= _PLAIN["text"]:
        raise _Unfit
    return maps_of(keys.pop(), b"\1" * len(items), pa.array(items, of.item_type))


def _json_at_once(values: list[Any], of: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(map(orjson.dumps, values)), of)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise _Unfit
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise _Unfit
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _names(value: Any) -> list[str | None]:
    if not isinstance(value, list):
        raise _Unfit
    return [None if each is None else _text(each) for each in value]


def _numbers(value: Any) -> list[float | None]:
    if not isinstance(value, list):
        raise _Unfit
    return [None if each is None else _number(each) for each in value]


def _texts(value: Any) -> list[tuple[str, str | None]]:
    if not isinstance(value, dict):
        raise _Unfit
    return [
        (key, each if each is None or isinstance(each, str) else _json(each))
        for key, each in value.items()
    ]


# What Arrow takes as it is; the rest is looked at value by value.
_PLAIN: dict[str, set[type]] = {
    "text": {str, type(None)},
    "integer": {int, type(None)},
    "instant": {int, type(None)},
    "number": {float, int, type(None)},
    "names": {list, type(None)},
    "numbers": {list, type(None)},
    "texts": {dict},
    "json": {dict},
    "flag": {bool, type(None)},
}
_AT_ONCE: dict[str, Callable[[list[Any], Any], Any]] = {
    "texts": _texts_at_once,
    "json": _json_at_once,
}
_TAKE: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "instant": _integer,
    "json": _json,
    "names": _names,
    "numbers": _numbers,
    "texts": _texts,
    "flag": _flag,
}


@cache
def _types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "instant": pa.timestamp("us", tz="UTC"),
        "json": pa.string(),
        "names": pa.list_(pa.string()),
        "numbers": pa.list_(pa.float64()),
        "texts": pa.map_(pa.string(), pa.string()),
        "flag": pa.bool_(),
    }
