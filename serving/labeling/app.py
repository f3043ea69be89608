"""This module puts the page together: which path is answered by what."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.settings import Settings
from serving.labeling.api import api_routes
from serving.labeling.documents import document, file
from serving.labeling.guard import App, Guard
from serving.labeling.hooks import Hooks
from serving.labeling.pages import page_routes
from serving.labeling.parts import Parts
from serving.labeling.reading import answer
from serving.labeling.signing import Signing


def labeling_app(
    of: Settings,
    *,
    queue: LabelQueue,
    raters: Raters,
    heard: Callable[[str], object] | None = None,
) -> App:
    """Return the labeling page as an ASGI application.

    Args:
        of: Settings to follow.
        queue: Gives items out and keeps votes.
        raters: Knows who may vote.
        heard: Is told the id of a batch of which Label Studio calls that it has something new; None
            where no Label Studio is asked, and none is listened to.
    """
    parts = Parts(of=of, queue=queue, raters=raters)
    signing = Signing(parts)
    app = Starlette(
        routes=[
            Route("/health", _health),
            Route("/files/{version}/{name}", file),
            Route("/sign-in", signing.form, methods=["GET"]),
            Route("/sign-in", signing.sign_in, methods=["POST"]),
            Route("/sign-out", signing.sign_out, methods=["POST"]),
            *([] if heard is None else [Hooks(queue, heard).route()]),
            *api_routes(parts),
            *page_routes(parts),
        ],
        exception_handlers={404: _missing, 405: _missing, Exception: _broken},
    )
    # it would lead to this process by http, past the path and the TLS of a proxy
    app.router.redirect_slashes = False
    return Guard(app, host=of.labels_host, public=of.labels_url)


async def _health(request: Request) -> Response:
    return PlainTextResponse("ready")


async def _missing(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if request.url.path.startswith(("/api/", "/hooks/")):
        return answer(
            {"problem": "There is nothing at this address.", "remedy": "", "reason": "unknown"},
            status,
        )
    return document(
        "message.html", status, title="Not found", problem="There is no such page.", remedy=""
    )


async def _broken(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this, and the server logs it with its traceback
    told = "Something went wrong here, and was logged."
    if request.url.path.startswith(("/api/", "/hooks/")):
        return answer({"problem": told, "remedy": "Try again.", "reason": "broken"}, 500)
    return document("message.html", 500, title="Error", problem=told, remedy="Try again.")
