"""This module makes and reads what somebody proves with who they are; it is pure.

A key is `<sort>_<id>_<secret>`: the id finds whose it is, the secret proves it. A secret is 256
random bits, so that a plain hash of it is enough to keep, and nobody can try them out.
"""

from __future__ import annotations

import functools
import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

_ID_BYTES, _SECRET_BYTES = 6, 32
_NOBODY = sha256(b"nobody has this key").hexdigest()


class NewKey(NamedTuple):
    """This is a key that was just made: shown once, and kept nowhere.

    Args:
        text: The key.
        id: The part that finds whose it is.
        digest: What is kept of its secret.
    """

    text: str
    id: str
    digest: str


def make_key(sort: str) -> NewKey:
    """Return a new key of a sort, such as "hr"."""
    identity, secret = secrets.token_hex(_ID_BYTES), make_secret()
    return NewKey(f"{sort}_{identity}_{secret}", identity, digest_of(secret))


def make_secret() -> str:
    """Return a new secret, also for a cookie or a form."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def parts_of(key: str, sort: str) -> tuple[str, str] | None:
    """Return id and secret of a key; None for what is no key of the sort."""
    found = _pattern(sort).fullmatch(key)
    return None if found is None else (found[1], found[2])


def is_secret(secret: str, digest: str | None) -> bool:
    """Return whether a secret is the one that was kept, in a time that says nothing of it.

    Args:
        secret: What came.
        digest: What is kept; None where there is nobody, which takes as long.
    """
    same = compare_digest(digest_of(secret), digest or _NOBODY)
    return same and digest is not None


@functools.cache
def _pattern(sort: str) -> re.Pattern[str]:
    return re.compile(rf"{sort}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
