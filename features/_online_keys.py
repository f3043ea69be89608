"""This module holds how entities are named online: the bytes of Feast's entity keys, version 3.

A key says how many columns it has, their names, then type, length and bytes of each value, all
sorted by the columns' names.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

_STRING, _INT64 = 2, 4  # Feast's numbers of value types
_pack_length, _pack_int = struct.Struct("<II").pack, struct.Struct("<IIq").pack


def key_prefix(columns: Sequence[str]) -> bytes:
    """Return how the keys of all entities begin that these columns identify, in any order."""
    parts = [struct.pack("<I", len(columns))]
    for name in sorted(columns):
        encoded = name.encode()
        parts += [_pack_length(_STRING, len(encoded)), encoded]
    return b"".join(parts)


def text_key(value: Any) -> bytes:
    """Return a text as a part of a key.

    Raises:
        TypeError: It is no text.
        UnicodeEncodeError: It has no form in UTF-8.
    """
    if not isinstance(value, str):
        raise TypeError
    encoded = value.encode()
    return _pack_length(_STRING, len(encoded)) + encoded


def int_key(value: Any) -> bytes:
    """Return an integer as a part of a key.

    Raises:
        TypeError: It is no integer.
        struct.error: It does not fit into 64 bits.
    """
    if type(value) is not int:
        if isinstance(value, bool):
            raise TypeError
        value = operator.index(value)  # numpy's integers too
    return _pack_int(_INT64, 8, value)


# what Feast gives a view without entities: a column of its own, with an empty text in it
DUMMY = "__dummy_id"
ENTITYLESS = key_prefix((DUMMY,)) + text_key("")

# by the type of a key column
KEY_PARTS: dict[str, Callable[[Any], bytes]] = {"string": text_key, "int": int_key}
KEY_WANTED = {"string": "a text", "int": "an integer of 64 bits"}
