"""This module makes and reads the keys by which clients ask endpoints: keys of the sort `hr`."""

from __future__ import annotations

from typing import Literal

from headrace import secret_keys
from headrace.secret_keys import NewKey, digest_of, is_secret

__all__ = ["NewKey", "Verb", "digest_of", "is_secret", "make_key", "parts_of"]

Verb = Literal["decide", "outcomes", "read"]
"""What a client may be granted at an endpoint; "read" is everything that changes nothing."""

_SORT = "hr"


def make_key() -> NewKey:
    """Return a new key."""
    return secret_keys.make_key(_SORT)


def parts_of(key: str) -> tuple[str, str] | None:
    """Return id and secret of a key; None for what is no key."""
    return secret_keys.parts_of(key, _SORT)
