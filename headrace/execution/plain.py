"""This module writes parameter values down for people to read."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """Return a parameter value as JSON-like data, for records that people read."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=_named)


def _named(value: Any) -> str:
    """Return how a value is called; what Python writes of a function holds its address."""
    for attribute in ("name", "__qualname__"):
        if isinstance(name := getattr(value, attribute, None), str) and name:
            return name
    return repr(value)
