"""This module writes plain values as bytes, so that two that differ in any way differ in bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any


def token(tag: bytes, payload: bytes = b"") -> bytes:
    """Return a tagged payload that cannot be confused with its neighbours."""
    return b"%b %d:%b" % (tag, len(payload), payload)


def literal(value: object) -> bytes | None:
    """Return the bytes of a value that a compiler may put into code, or None for another.

    `1`, `True` and `1.0` differ, and so do `0.0` and `-0.0`, text and bytes, tuple and list.
    """
    kind = type(value)
    if kind is tuple or kind is frozenset:
        items = [literal(item) for item in value]  # type: ignore[attr-defined]
        known = [item for item in items if item is not None]
        if len(known) < len(items):
            return None
        if kind is frozenset:
            known.sort()
        return token(b"tuple" if kind is tuple else b"frozenset", b"".join(known))
    return scalar(value)


def scalar(value: object) -> bytes | None:
    """Return the bytes of a number, text, bytes, None or Ellipsis of exactly that type."""
    write = _SCALARS.get(type(value))
    return None if write is None else write(value)


def _float_bytes(value: float) -> bytes:
    # every NaN is one NaN: its payload does not survive arithmetic anyway
    return b"nan" if math.isnan(value) else struct.pack(">d", value)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"None ",
    type(...): lambda value: b"... ",
    bool: lambda value: b"True " if value else b"False ",
    int: lambda value: token(b"int", b"%x" % value),
    float: lambda value: token(b"float", _float_bytes(value)),
    complex: lambda value: token(b"complex", _float_bytes(value.real) + _float_bytes(value.imag)),
    str: lambda value: token(b"str", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: token(b"bytes", value),
}
