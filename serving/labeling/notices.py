"""This module passes on what happened to batches, and closes those past their deadline.

Prefect may be down for hours, and so may the database: what fails is said once and tried again,
less and less often. A notice is passed on at least once; its id is the event's, so that whoever
hears it twice can tell.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
from typing import Any

from headrace.clock import current_clock
from headrace.errors import HeadraceError
from headrace.labels.queue import LabelQueue, Notice

_EVERY_SECONDS, _AT_MOST_SECONDS = 1.0, 60.0
_EXPIRE_EVERY_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_log = logging.getLogger("headrace.labels")
# the server is on loopback, or named by the user: a proxy has no business in between
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Chore:
    """This is something that is done again and again; while it fails it is done less often.

    Args:
        what: What it is, for the log: "Telling Prefect of batches".
        every_seconds: How often it is done.
    """

    def __init__(self, what: str, *, every_seconds: float) -> None:
        self._what, self._every = what, every_seconds
        self._failures = 0
        self._due = current_clock().monotonic()

    def is_due(self) -> bool:
        """Say whether it is to be done now."""
        return current_clock().monotonic() >= self._due

    def succeeded(self) -> None:
        """Note that it was done."""
        if self._failures:
            _log.warning("%s works again, after %d failures.", self._what, self._failures)
        self._failures = 0
        self._due = current_clock().monotonic() + self._every

    def failed(self, why: object) -> None:
        """Note that it failed; only the first time in a row is logged."""
        if not self._failures:
            _log.warning("%s failed, and is tried again: %s", self._what, why)
        wait = min(self._every * 2.0 ** min(self._failures, 10), _AT_MOST_SECONDS)
        self._failures += 1
        self._due = current_clock().monotonic() + wait


class Chores:
    """This thread passes notices on and closes late batches, until it is stopped.

    Args:
        queue: Where both are found.
        prefect_api_url: Address of Prefect's API.
    """

    def __init__(self, queue: LabelQueue, *, prefect_api_url: str) -> None:
        self._queue, self._events = queue, f"{prefect_api_url}/events"
        self._telling = Chore("Telling Prefect of batches", every_seconds=_EVERY_SECONDS)
        self._expiring = Chore("Closing late batches", every_seconds=_EXPIRE_EVERY_SECONDS)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="label-chores", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for what is being done."""
        self._stopped.set()
        self._thread.join(_PATIENCE_SECONDS)

    def turn(self) -> None:
        """Do what is due."""
        if self._expiring.is_due():
            self._attempt(self._expiring, self._expire)
        if self._telling.is_due():
            self._attempt(self._telling, self._tell)

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS / 2):
            self.turn()

    def _attempt(self, chore: Chore, do: Any) -> None:
        try:
            do()
        except (HeadraceError, OSError) as error:
            chore.failed(error)
        except Exception as error:  # a thread that ended would close and tell nothing any more
            chore.failed(f"{type(error).__name__}: {error}")
        else:
            chore.succeeded()

    def _expire(self) -> None:
        self._queue.expire(current_clock().now())

    def _tell(self) -> None:
        for notice in self._queue.notices():
            _post(self._events, notice)
            self._queue.told(notice.id)


def _post(address: str, notice: Notice) -> None:
    said = {
        "id": notice.id,
        "occurred": notice.at.isoformat(),
        "event": notice.event,
        "resource": {"prefect.resource.id": notice.resource},
        "payload": dict(notice.payload),
    }
    request = urllib.request.Request(  # noqa: S310  the address is of the settings
        address,
        data=json.dumps([said]).encode(),
        headers={"content-type": "application/json"},
        method="POST",
    )
    try:
        with _open(request, timeout=_PATIENCE_SECONDS):
            pass
    except urllib.error.HTTPError as refused:
        with refused:
            raise OSError(f"Prefect answers {refused.code} to {address}") from None
