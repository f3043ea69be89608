"""This module finds who asks, by the cookie of the session, and whether a write was meant."""

from __future__ import annotations

import secrets
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response

from headrace.labels.raters import Raters, Session
from serving.labeling.reading import Refusal

COOKIE = "headrace_labels"
FORM_COOKIE = "headrace_labels_form"
_HEADER = "x-csrf-token"


class SignedOut(Refusal):
    """This request comes from nobody who is signed in."""

    def __init__(self) -> None:
        super().__init__(
            "You are not signed in any more: somebody signed in elsewhere with your token, you "
            "signed out in another tab, or your token was taken away.",
            remedy="Sign in again; what you have answered is kept.",
            reason="signed_out",
        )


def session_of(request: Request, raters: Raters, *, writes: bool) -> Session:
    """Return the session of a request.

    Args:
        request: The request.
        raters: Who may vote.
        writes: Whether it changes something, and so must bring the session's CSRF token.

    Raises:
        Refusal: Nobody is signed in, or the CSRF token is missing or another one.
    """
    cookie = request.cookies.get(COOKIE)
    session = raters.session(cookie) if cookie else None
    if session is None:
        raise SignedOut
    if writes:
        check_token(request.headers.get(_HEADER, ""), session.csrf)
    return session


def check_token(given: str, expected: str) -> None:
    """Compare CSRF tokens, in a time that says nothing of them.

    Raises:
        Refusal: They differ.
    """
    if not expected or not compare_digest(given.encode(), expected.encode()):
        raise Refusal(
            "The request does not come from a page of this session.",
            remedy="Reload the page and try again.",
            reason="csrf",
        )


def form_token(request: Request) -> str:
    """Return what binds the form of signing in to this browser: that of before, or a new one."""
    known = request.cookies.get(FORM_COOKIE, "")
    return known if len(known) >= 32 else secrets.token_urlsafe(32)


def keep(response: Response, name: str, value: str) -> None:
    """Give a browser a cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(name, value, path="/", httponly=True, samesite="strict")


def forget(response: Response, name: str) -> None:
    """Take a cookie from a browser."""
    response.delete_cookie(name, path="/", httponly=True, samesite="strict")
