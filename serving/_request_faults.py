"""This module says what is wrong with a body or a field of it: one constructor for each fault."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from headrace.errors import did_you_mean
from serving._request_errors import RequestError
from serving._request_text import NOTHING, quoted, shown

_NOT_A_NUMBER = re.compile(r"-?(?:NaN|Infinity|inf)\b", re.IGNORECASE)


def wrong_type(field: str, expected: str, value: Any, *, remedy: str) -> RequestError:
    """Build the error for a value of another type than the field's."""
    return RequestError(
        "wrong_type",
        f"The field '{field}' must be {expected}, got {shown(value)}.",
        remedy=remedy,
        field=field,
        expected=expected,
        got=shown(value),
    )


def out_of_range(field: str, expected: str, got: str, *, remedy: str) -> RequestError:
    """Build the error for a value of the right type that is too large, long or early."""
    return RequestError(
        "out_of_range",
        f"The field '{field}' must be {expected}, got {got}.",
        remedy=remedy,
        field=field,
        expected=expected,
        got=got,
    )


def missing(field: str, expected: str, *, remedy: str, hint: str = "") -> RequestError:
    """Build the error for a field that must be given and is not; `hint` ends the message."""
    return RequestError(
        "missing_field",
        f"The field '{field}' is missing: expected {expected}, got {NOTHING}.{hint}",
        remedy=remedy,
        field=field,
        expected=expected,
        got=NOTHING,
    )


def not_allowed(field: str, problem: str, value: Any, *, remedy: str) -> RequestError:
    """Build the error for a field that must not be given here."""
    return RequestError(
        "not_allowed", problem, remedy=remedy, field=field, expected=NOTHING, got=shown(value)
    )


def unknown_field(
    field: str, name: str, known: Iterable[str], *, having: str, expected: str
) -> RequestError:
    """Build the error for a `name`, at the path `field`; `having` ends in "has no field" or so."""
    return RequestError(
        "unknown_field",
        f"{having} {quoted(name)}.{did_you_mean(name, known)}",
        remedy="correct the name or leave it out.",
        field=field,
        expected=expected,
        got=shown(name),
    )


def not_json(body: bytes, error: orjson.JSONDecodeError) -> RequestError:
    """Build the error for a body that isn't JSON: where, and NaN and Infinity by their names."""
    where = f"line {error.lineno}, column {error.colno}"
    remedy = 'send a JSON object in UTF-8, such as {"entity": {...}}.'
    number = _NOT_A_NUMBER.match(error.doc, max(error.pos - 1, 0))  # it has gone past the sign
    number = number or _NOT_A_NUMBER.match(error.doc, error.pos)
    if number:
        what, got = (
            f"it has {number.group()} at {where}, and JSON has no such number",
            number.group(),
        )
        remedy = "send null where a number isn't known."
    elif not body:
        what, got = "it is empty", NOTHING
    else:
        what, got = f"{error.msg} ({where})", shown(error.doc)
    return RequestError(
        "not_json",
        f"The body isn't JSON: {what}.",
        remedy=remedy,
        expected="a JSON object",
        got=got,
    )
