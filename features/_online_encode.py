"""This module writes features as the bytes of Feast's `Value` messages, without Feast.

A value is a message with one scalar in it: the tag of its field, then the scalar; without any field
it is null. Beside it Feast keeps the value as text, for searching.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime
from math import isnan
from typing import Any

NULL = b""
NULL_INSTANT = -(1 << 63)  # what Feast writes where a time is null
_DAY_ZERO = date(1970, 1, 1).toordinal()
_DAY = 86_400
_pack_double = struct.Struct("<cd").pack


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _float(value: Any) -> tuple[bytes, str | None]:
    if type(value) is not float:
        if value is None:
            return NULL, None
        if isinstance(value, bool | str):
            raise TypeError
        value = float(value)
    return (NULL, None) if isnan(value) else (_pack_double(b")", value), str(value))


def _int(value: Any) -> tuple[bytes, str | None]:
    if value is None:
        return NULL, None
    if isinstance(value, bool) or value != int(value) or not -(1 << 63) <= value < 1 << 63:
        raise TypeError
    value = int(value)
    return b" " + _varint(value), str(value)


def _bool(value: Any) -> tuple[bytes, str | None]:
    if value is None:
        return NULL, None
    if not isinstance(value, bool):
        raise TypeError
    return (b"8\x01", "True") if value else (b"8\x00", "False")


def _text(value: Any) -> tuple[bytes, str | None]:
    if value is None:
        return NULL, None
    encoded = value.encode()
    return b"\x12" + _varint(len(encoded)) + encoded, value


def _instant(value: Any) -> tuple[bytes, str | None]:
    if value is None:
        return b"@" + _varint(NULL_INSTANT), None
    seconds, rest = divmod(value, 1_000_000)
    if rest:
        raise ValueError
    return b"@" + _varint(seconds), None


def _date(value: Any) -> tuple[bytes, str | None]:
    if value is None:
        return b"@" + _varint(NULL_INSTANT), None
    if isinstance(value, datetime):
        raise TypeError
    return b"@" + _varint((value.toordinal() - _DAY_ZERO) * _DAY), None


# by logical type: a Python value (an instant in microseconds) to Feast's value and its text.
# They raise TypeError or AttributeError for a value of another type, ValueError for an instant
# that Feast's whole seconds would cut.
ENCODERS: dict[str, Callable[[Any], tuple[bytes, str | None]]] = {
    "float": _float,
    "int": _int,
    "bool": _bool,
    "string": _text,
    "category": _text,
    "timestamp": _instant,
    "date": _date,
}
