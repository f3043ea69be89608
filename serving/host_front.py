"""This module keeps the front for the host: started where settings want one, told of replicas."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.settings import Settings
from serving.front import Front, front_wanted

_AGAIN_SECONDS = 0.5
_DEAD_SECONDS = 15.0  # it starts its HAProxy again by itself; this is for when it cannot
_log = logging.getLogger("headrace.serving")


class FrontKeeper:
    """This has the front deal requests to the replicas that answer.

    Args:
        of: Whether there is one, and where it listens.
    """

    def __init__(self, of: Settings) -> None:
        self._settings = of
        self._front: Front | None = None
        self._told: dict[str, list[str]] | None = None
        self._due = self._alive_at = 0.0
        self.why = ""

    @property
    def url(self) -> str | None:
        """Where requests come to; None without a front, or while it cannot be started."""
        return None if self._front is None else self._front.url

    def keep(self, replicas: Mapping[str, Sequence[str]]) -> None:
        """Look after the front, and tell it which replicas answer for each endpoint."""
        if not front_wanted(self._settings):
            return
        now = current_clock().monotonic()
        if now < self._due:
            return
        wanted = {name: list(urls) for name, urls in replicas.items()}
        try:
            if self._front is not None and self._front.alive():
                self._alive_at = now
            elif now - self._alive_at > _DEAD_SECONDS:
                self._end()
            if self._front is None:
                front = Front(self._settings)
                front.start()
                self._front, self._told, self._alive_at = front, None, now
            if wanted != self._told:
                self._front.apply(wanted)
                self._told = wanted
            self.why = ""
        except HeadraceError as error:
            self._told = None
            if str(error) != self.why:
                self.why = str(error)
                _log.error("The front: %s", error)
            self._due = now + _AGAIN_SECONDS

    def stop(self) -> None:
        """End the front."""
        self._end()

    def _end(self) -> None:
        front, self._front, self._told = self._front, None, None
        if front is not None:
            front.stop()
