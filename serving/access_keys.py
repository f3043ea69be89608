"""This module makes and reads the keys by which clients ask endpoints; it is pure.

A key is `hr_<id>_<secret>`. The id finds the client, the secret proves it: 256 random bits, so that
a plain hash of it is enough to keep, and nobody can try them out.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple

Verb = Literal["decide", "outcomes", "read"]
"""What a client may be granted at an endpoint; "read" is everything that changes nothing."""

_ID_BYTES, _SECRET_BYTES = 6, 32
_KEY = re.compile(r"hr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = sha256(b"nobody has this key").hexdigest()


class NewKey(NamedTuple):
    """This is a key that was just made: shown once, and kept nowhere.

    Args:
        text: The key.
        id: The part that finds its client.
        digest: What is kept of its secret.
    """

    text: str
    id: str
    digest: str


def make_key() -> NewKey:
    """Return a new key."""
    identity, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    return NewKey(f"hr_{identity}_{secret}", identity, digest_of(secret))


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return sha256(secret.encode()).hexdigest()


def parts_of(key: str) -> tuple[str, str] | None:
    """Return id and secret of a key; None for what is no key."""
    found = _KEY.fullmatch(key)
    return None if found is None else (found[1], found[2])


def is_secret(secret: str, digest: str | None) -> bool:
    """Return whether a secret is the one that was kept, in a time that says nothing of it.

    Args:
        secret: What came.
        digest: What is kept; None where there is no such client, which takes as long.
    """
    same = compare_digest(digest_of(secret), digest or _NOBODY)
    return same and digest is not None
