"""This module reads features from the bytes of Feast's `Value` messages, without Feast."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from features._online_encode import NULL_INSTANT
from features._online_times import EPOCH

Decode = Callable[[bytes], Any]

_read_double, _read_float = struct.Struct("<d").unpack_from, struct.Struct("<f").unpack_from


def _read_varint(blob: bytes) -> int:
    value = shift = 0
    for byte in blob[1:]:
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value - (1 << 64) if value >> 63 else value
        shift += 7
    raise ValueError("an integer without end")


def _read_text(blob: bytes) -> str:
    return _read_bytes(blob).decode()


def _read_bytes(blob: bytes) -> bytes:
    if len(blob) < 130:  # the length takes one byte
        return blob[2:]
    start = 1
    while blob[start] > 0x7F:
        start += 1
    return blob[start + 1 :]


def _read_instant(blob: bytes) -> datetime | None:
    seconds = _read_varint(blob)
    return None if seconds == NULL_INSTANT else EPOCH + timedelta(seconds=seconds)


def _read_date(blob: bytes) -> date | None:
    instant = _read_instant(blob)
    return None if instant is None else instant.date()


def _read_bool(blob: bytes) -> bool:
    return blob[1] != 0


# by tag: field number times eight, plus the wire type
_INT: dict[int, Decode] = {0x18: _read_varint, 0x20: _read_varint}
_REAL: dict[int, Decode] = {
    0x29: lambda blob: _read_double(blob, 1)[0],
    0x35: lambda blob: _read_float(blob, 1)[0],
}
_AS_REAL: dict[int, Decode] = {tag: lambda blob: float(_read_varint(blob)) for tag in _INT}

# by logical type: how to read what may stand for it, by the first byte of the value; None for null
DECODERS: dict[str, dict[int, Decode]] = {
    "float": _REAL | _AS_REAL,
    "int": _INT,
    "bool": {0x38: _read_bool},
    "string": {0x12: _read_text},
    "category": {0x12: _read_text},
    "bytes": {0x0A: _read_bytes},
    "timestamp": {0x40: _read_instant},
    "date": {0x40: _read_date},
}

_DOUBLE, _DOUBLE_BYTES = 0x29, 9


def decode_column(dtype: str, blobs: Sequence[bytes | None]) -> list[Any]:
    """Return the values of one feature for many entities; no bytes are a null.

    Raises:
        LookupError, ValueError, OverflowError, struct.error: One cannot be read as the type.
    """
    decoders = DECODERS[dtype]
    if dtype == "float":
        there = [blob for blob in blobs if blob]
        joined = b"".join(there)
        if set(map(len, there)) == {_DOUBLE_BYTES} and set(joined[::_DOUBLE_BYTES]) == {_DOUBLE}:
            values = _doubles(len(there)).unpack(joined)  # all at once, as nearly always
            if len(there) == len(blobs):
                return list(values)
            following = iter(values)
            return [next(following) if blob else None for blob in blobs]
    return [decoders[blob[0]](blob) if blob else None for blob in blobs]


@functools.lru_cache(maxsize=256)
def _doubles(count: int) -> struct.Struct:
    return struct.Struct("<" + "xd" * count)  # each after the byte of its tag
