"""This module writes plain values as bytes, so that two that differ in any way differ in bytes."""

from __future__ import annotations

import struct


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
    match value:
        case None:
            return b"None "
        case bool():
            return b"True " if value else b"False "
    kind = type(value)
    if kind is int:
        return token(b"int", b"%x" % value)  # type: ignore[str-bytes-safe]
    if kind is float:
        return token(b"float", _float_bytes(value))  # type: ignore[arg-type]
    if kind is str:
        return token(b"str", value.encode("utf-8", "surrogatepass"))  # type: ignore[attr-defined]
    if kind is bytes:
        return token(b"bytes", value)  # type: ignore[arg-type]
    if kind is complex:
        real, imaginary = value.real, value.imag  # type: ignore[attr-defined]
        return token(b"complex", _float_bytes(real) + _float_bytes(imaginary))
    return b"... " if value is ... else None


def _float_bytes(value: float) -> bytes:
    # every NaN is one NaN: its payload does not survive arithmetic anyway
    return b"nan" if value != value else struct.pack(">d", value)
