"""This module writes what the client sends; it is pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isinf
from numbers import Real
from typing import Any

import orjson

from headrace.errors import ParameterError

_PIECE_BYTES = 1 << 18  # of outcomes in one request; a lane reads four times as much
_NEVER_INFINITE = (str, int, bool, type(None))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """This is what happened after a decision.

    Args:
        id: Of the decision.
        value: What happened, 1 or 0 where it is a class; None where it will never be known.
        known_at: When it was known, aware; None for now.
        name: Which of several outcomes of a decision it is; "" for the one without a name.
        corrects: Whether it takes the place of what was told before.
        source: Who says so, for people.
    """

    id: str
    value: float | None
    known_at: datetime | None = None
    name: str = ""
    corrects: bool = False
    source: str | None = None


def pieces(outcomes: Iterable[Outcome]) -> Iterable[bytes]:
    """Yield bodies that a lane reads, each with as many outcomes as fit."""
    parts: list[bytes] = []
    size = 0
    for outcome in outcomes:
        require_finite({"value": outcome.value})
        entry: dict[str, Any] = {"id": outcome.id, "value": outcome.value}
        if outcome.known_at is not None:
            entry["known_at"] = written(outcome.known_at)
        if outcome.name:
            entry["name"] = outcome.name
        if outcome.corrects:
            entry["corrects"] = True
        if outcome.source is not None:
            entry["source"] = outcome.source
        part = encoded(entry)
        if parts and size + len(part) > _PIECE_BYTES:
            yield b'{"outcomes":[%s]}' % b",".join(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b'{"outcomes":[%s]}' % b",".join(parts)


def written(moment: datetime | str) -> str:
    """Return a moment as a request holds it; text is taken as it is."""
    return moment if isinstance(moment, str) else moment.isoformat()


def require_finite(values: Mapping[str, Any]) -> None:
    """Refuse infinity, which would be written as null.

    Raises:
        ParameterError: A value is infinite.
    """
    for name, value in values.items():
        kind = type(value)
        if kind in _NEVER_INFINITE or not (kind is float or isinstance(value, Real)):
            continue
        if isinf(value):
            raise ParameterError(
                f"The value of '{name}' is {value}, and JSON has no infinity.",
                remedy="give a number, or None where it isn't known.",
            )


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON; NaN is null, numbers of numpy are numbers.

    Raises:
        ParameterError: A value isn't one that JSON knows.
    """
    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise ParameterError(
            f"The request cannot be written as JSON: {error}.",
            remedy="give texts, numbers, true, false or None.",
        ) from None
