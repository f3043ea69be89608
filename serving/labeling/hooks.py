"""This module hears from Label Studio that somebody answered; what, is fetched from there.

A call brings a secret that was made for its batch. Nothing else of it is believed, or read: the
same fetching that goes on without calls finds out what is new, so that a call that is forged,
repeated, lost or late adds no vote and loses none. There is no cookie and no session here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.clock import current_clock
from headrace.errors import HeadraceError, UnknownNameError
from headrace.labels.addresses import hook_path
from headrace.labels.hooks import HEADER, hook_of
from headrace.labels.queue import LabelQueue
from headrace.secret_keys import is_secret
from serving.labeling.reading import Refusal, answer, body_of, refused

_MOST_BYTES = 64 * 1024
_KNOWN_SECONDS, _KNOWN_AT_MOST = 5.0, 1000


class _Known(NamedTuple):
    digest: str
    until: float


class Hooks:
    """These are the calls of Label Studio.

    Args:
        queue: Knows the batches.
        heard: Is told the id of a batch that has something new; returns at once.
    """

    def __init__(self, queue: LabelQueue, heard: Callable[[str], object]) -> None:
        self._queue, self._heard = queue, heard
        self._known: dict[str, _Known] = {}
        self._alone: anyio.CapacityLimiter | None = None

    def route(self) -> Route:
        """Return the path that is called."""
        return Route(hook_path("{batch:str}"), self.receive, methods=["POST"])

    async def receive(self, request: Request) -> Response:
        """Take a call; it is answered before anything is fetched."""
        batch, secret = request.path_params["batch"], request.headers.get(HEADER, "")
        try:
            if not self._is_known(batch, secret):
                await self._check(batch, secret)
            await body_of(request, most=_MOST_BYTES)
        except HeadraceError as error:
            return refused(error)
        self._heard(batch)
        return answer({"batch": batch, "heard": True}, 202)

    def _is_known(self, batch: str, secret: str) -> bool:
        known = self._known.get(batch)
        fresh = known is not None and current_clock().monotonic() < known.until
        return is_secret(secret, known.digest if known and fresh else None)

    async def _check(self, batch: str, secret: str) -> None:
        """Look the secret up, in a thread that is none of those that answer raters."""
        if self._alone is None:
            self._alone = anyio.CapacityLimiter(1)
        digest = await anyio.to_thread.run_sync(self._digest, batch, limiter=self._alone)
        if len(self._known) >= _KNOWN_AT_MOST:
            self._known.clear()
        self._known[batch] = _Known(digest, current_clock().monotonic() + _KNOWN_SECONDS)
        if not is_secret(secret, digest):
            raise Refusal(
                f"The call about batch '{batch}' brings no secret in {HEADER}, or another one than "
                "Label Studio was told last.",
                remedy="Run `headrace label sync` with this batch and `--everything`, which tells "
                "Label Studio a new one; what people answered is fetched all the same.",
                reason="wrong",
            )

    def _digest(self, batch: str) -> str:
        """Return the hash of a batch's secret.

        Raises:
            UnknownNameError: There is no such batch, or nobody calls about it.
        """
        try:
            found = self._queue.batch(batch)
        except UnknownNameError:
            found = None
        hook = None if found is None else hook_of(found)
        if hook is None or not hook.digest:
            raise UnknownNameError(
                f"There is no batch '{batch[:64]}' of which Label Studio is to call here.",
                remedy="Remove this webhook in Label Studio; another installation may have made "
                "it, or it was switched off.",
            )
        return hook.digest
