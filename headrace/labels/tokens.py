"""This module makes and reads what raters sign in with, and what browsers then keep; it is pure.

A token is `hl_<id>_<secret>`: the id finds the rater, the secret proves them. A cookie is a secret
alone. Each is 256 random bits, so that a plain hash is enough to keep, and nobody can try them out.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

_ID_BYTES, _SECRET_BYTES = 6, 32
_TOKEN = re.compile(r"hl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = sha256(b"nobody has this token").hexdigest()


class NewToken(NamedTuple):
    """This is a token that was just made: shown once, and kept nowhere.

    Args:
        text: The token.
        id: The part that finds its rater.
        digest: What is kept of its secret.
    """

    text: str
    id: str
    digest: str


def make_token() -> NewToken:
    """Return a new token."""
    identity, secret = secrets.token_hex(_ID_BYTES), make_secret()
    return NewToken(f"hl_{identity}_{secret}", identity, digest_of(secret))


def make_secret() -> str:
    """Return a new secret, for a cookie or a form."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def parts_of(token: str) -> tuple[str, str] | None:
    """Return id and secret of a token; None for what is no token."""
    found = _TOKEN.fullmatch(token.strip())
    return None if found is None else (found[1], found[2])


def is_secret(secret: str, digest: str | None) -> bool:
    """Return whether a secret is the one that was kept, in a time that says nothing of it.

    Args:
        secret: What came.
        digest: What is kept; None where there is no such rater, which takes as long.
    """
    same = compare_digest(digest_of(secret), digest or _NOBODY)
    return same and digest is not None
