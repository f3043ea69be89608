"""This module holds the columns of the tables of a log, and turns values of documents into them."""

from __future__ import annotations

from collections.abc import Callable
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
    "outcomes": {"id": "text", "known_at": "instant", "logged": "instant", "value": "number"},
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


def column_of(documents: list[Document], name: str, kind: str, rest: list[Document]) -> pa.Array:
    """Return a column; what does not fit is null there, and goes to `rest`."""
    import pyarrow as pa

    of = _types()[kind]
    values = [document.get(name) for document in documents]
    if set(map(type, values)) <= _PLAIN[kind]:
        try:
            return pa.array(values, of)
        except (
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            OverflowError,
        ):  # in a list, or too large a number
            pass
    for position, value in enumerate(values):
        try:
            values[position] = None if value is None else _TAKE[kind](value)
        except _Unfit:
            values[position] = None
            rest[position][name] = value
    return pa.array(values, of)


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
    "texts": set(),
    "json": set(),
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
}


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
    }
