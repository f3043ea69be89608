"""This module makes and reads the tokens that raters sign in with: keys of the sort `hl`."""

from __future__ import annotations

from headrace import secret_keys
from headrace.secret_keys import NewKey, digest_of, is_secret, make_secret

__all__ = ["digest_of", "is_secret", "make_secret", "make_token", "parts_of"]

_SORT = "hl"


def make_token() -> NewKey:
    """Return a new token."""
    return secret_keys.make_key(_SORT)


def parts_of(token: str) -> tuple[str, str] | None:
    """Return id and secret of a token; None for what is no token."""
    return secret_keys.parts_of(token.strip(), _SORT)
