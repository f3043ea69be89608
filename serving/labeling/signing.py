"""This module signs raters in and out: a form that takes a token and gives a cookie for it."""

from __future__ import annotations

import math
import re

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headrace.errors import DataError, HeadraceError
from headrace.labels.raters import Session
from serving.labeling.documents import document
from serving.labeling.parts import Parts
from serving.labeling.reading import Refusal, body_of, form_of, reason_of, status_of
from serving.labeling.sessions import (
    COOKIE,
    FORM_COOKIE,
    check_token,
    forget,
    form_token,
    keep,
    session_of,
)

_MOST_BYTES = 8 * 1024
# where one may be led after signing in: pages of ours, and nothing that could lead elsewhere
_NEXT = re.compile(r"/((label|adjudicate|agreement)/[a-z][a-z0-9_]{0,63}(\?item=[0-9]{1,18})?)?")


def next_page(wanted: str | None) -> str:
    """Return where to go after signing in: what was wanted if it is a page of ours."""
    return wanted if wanted and _NEXT.fullmatch(wanted) else "/"


def to_sign_in(request: Request) -> Response:
    """Return what leads a browser to the form and, after it, back to where it wanted to go."""
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = next_page(request.url.path + query)
    return RedirectResponse("/sign-in" if wanted == "/" else f"/sign-in?next={wanted}", 303)


class Signing:
    """These are the requests by which raters come and go.

    Args:
        parts: What requests share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def form(self, request: Request) -> Response:
        """Show the form."""
        return _form(request, wanted=next_page(request.query_params.get("next")))

    async def sign_in(self, request: Request) -> Response:
        """Take a token; on success the browser has the cookie of a session."""
        address = request.client.host if request.client else ""
        wanted = "/"
        try:
            fields = form_of(await body_of(request, most=_MOST_BYTES))
            wanted = next_page(fields.get("next"))
            check_token(fields.get("form", ""), request.cookies.get(FORM_COOKIE, ""))
            session = await run_in_threadpool(self._session, fields, address)
        except HeadraceError as error:
            return _form(request, wanted=wanted, error=error)
        response = RedirectResponse(wanted, 303)
        keep(response, COOKIE, session.cookie)
        forget(response, FORM_COOKIE)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        try:
            fields = form_of(await body_of(request, most=_MOST_BYTES))
            await run_in_threadpool(self._end, request, fields.get("csrf", ""))
        except Refusal as error:
            return _form(request, wanted="/", error=error)
        response = RedirectResponse("/sign-in", 303)
        forget(response, COOKIE)
        return response

    def _session(self, fields: dict[str, str], address: str) -> Session:
        attempts = self._parts.attempts
        if wait := attempts.wait_seconds(address):
            raise Refusal(
                "Too many attempts to sign in have failed from your address.",
                remedy=f"Wait {math.ceil(wait)} seconds, then try again.",
                reason="too_often",
            )
        token, takes_over = fields.get("token", "").strip(), fields.get("takes_over") == "on"
        try:
            return self._parts.raters.sign_in(token, takes_over=takes_over)
        except DataError as refused:
            if reason_of(refused) != "in_use":
                attempts.failed(address)
            raise

    def _end(self, request: Request, csrf: str) -> None:
        try:
            session = session_of(request, self._parts.raters, writes=False)
        except Refusal:
            return  # somebody who is signed out already
        check_token(csrf, session.csrf)
        self._parts.raters.sign_out(request.cookies[COOKIE])


def _form(request: Request, *, wanted: str, error: HeadraceError | None = None) -> Response:
    token = form_token(request)
    response = document(
        "sign-in.html",
        200 if error is None else status_of(error),
        wanted=wanted,
        token=token,
        problem=error.problem if error else "",
        remedy=error.remedy if error else "",
        in_use=error is not None and reason_of(error) == "in_use",
    )
    keep(response, FORM_COOKIE, token)
    return response
