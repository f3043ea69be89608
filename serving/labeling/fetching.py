"""This module fetches what people answered in Label Studio: when it calls, and now and then.

Calls are many and say little: those about a batch that come while it waits to be fetched, or is
being fetched, lead to one more fetch. What is to be fetched is kept nowhere. A process that begins
fetches every batch once, and later each open one at an interval, so that a call that was lost with
the process, or was never sent, costs time and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from headrace.clock import current_clock
from headrace.errors import DataError, HeadraceError
from headrace.labels.items import Batch
from headrace.labels.queue import LabelQueue
from headrace.settings import Settings

# a burst is over after this, or goes on for longer than a fetch takes
_SETTLE_SECONDS = 0.2
_REST_SECONDS = 1.0
_TRY_AGAIN_SECONDS, _AT_MOST_SECONDS = 1.0, 60.0
_PATIENCE_SECONDS = 10.0
_BACKEND = "labelstudio"
_log = logging.getLogger("headrace.labels")

Fetch = Callable[[str], object]


def fetcher_of(of: Settings, queue: LabelQueue) -> Fetcher | None:
    """Return what fetches from the Label Studio of the settings; None where they name none."""
    if not of.label_studio_url or of.label_studio_token is None:
        return None
    from operators.label_studio import LabelStudio

    def fetch(batch: str) -> None:
        LabelStudio(queue).sync(batch)

    return Fetcher(queue, fetch, every_seconds=of.label_studio_poll_seconds)


class Fetcher:
    """This thread fetches batches that people label in Label Studio, until it is stopped.

    Args:
        queue: Knows the batches.
        fetch: Fetches one, by its id; repeating it is harmless.
        every_seconds: How often each open batch is fetched without being called for.
    """

    def __init__(self, queue: LabelQueue, fetch: Fetch, *, every_seconds: float) -> None:
        self._queue, self._fetch, self._every = queue, fetch, every_seconds
        self._lock, self._wake, self._stopped = threading.Lock(), threading.Event(), False
        self._due: dict[str, float] = {}  # batches to be fetched, and from when on
        self._rest: dict[str, float] = {}  # until when those that were fetched are left alone
        self._failed: dict[str, int] = {}
        self._look, self._began = current_clock().monotonic(), False
        self._thread = threading.Thread(target=self._run, name="label-fetcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for what is being done."""
        self._stopped = True
        self._wake.set()
        self._thread.join(_PATIENCE_SECONDS)

    def heard(self, batch: str) -> None:
        """Note that a batch has something new; this waits for nothing."""
        now = current_clock().monotonic()
        with self._lock:
            resting = self._rest.get(batch, 0.0)
            self._due.setdefault(batch, max(now + _SETTLE_SECONDS, resting))
        self._wake.set()

    def turn(self) -> None:
        """Fetch what is due."""
        if current_clock().monotonic() >= self._look:
            self._look = current_clock().monotonic() + self._every
            try:
                self._look_for_batches()
            except HeadraceError as error:  # the database cannot be used now
                _log.warning("Looking for batches in Label Studio failed: %s", error)
        with self._lock:
            now = current_clock().monotonic()
            due = sorted((at, batch) for batch, at in self._due.items() if at <= now)
            self._rest = {batch: until for batch, until in self._rest.items() if until > now}
        for _, batch in due:
            if not self._stopped:
                self._fetch_one(batch)

    def _look_for_batches(self) -> None:
        found = [batch for batch in self._queue.batches() if self._is_to_be_fetched(batch)]
        self._began = True
        now = current_clock().monotonic()
        with self._lock:
            for batch in found:
                self._due.setdefault(batch.id, now)

    def _is_to_be_fetched(self, batch: Batch) -> bool:
        if batch.backend != _BACKEND or "project" not in (batch.external or {}):
            return False
        # of one that is complete an answer may have been changed while nobody was there to hear
        return batch.status == "open" or (batch.status == "complete" and not self._began)

    def _fetch_one(self, batch: str) -> None:
        begun = current_clock().monotonic()
        with self._lock:
            del self._due[batch]  # before it is fetched: a call from now on asks for another time
        try:
            self._fetch(batch)
        except Exception as error:  # a thread that ended would fetch nothing any more
            self._note_failure(batch, error)
            return
        now = current_clock().monotonic()
        if failures := self._failed.pop(batch, 0):
            _log.warning("Fetching batch %s works again, after %d failures.", batch, failures)
        with self._lock:
            self._rest[batch] = until = now + max(_REST_SECONDS, now - begun)
            if batch in self._due:
                self._due[batch] = until

    def _note_failure(self, batch: str, error: Exception) -> None:
        failures = self._failed.get(batch, 0)
        if not failures:
            told = error if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
            _log.warning("Fetching batch %s failed, and is tried again: %s", batch, told)
        self._failed[batch] = failures + 1
        if isinstance(error, DataError):  # its project is gone: a person has to see to it
            return
        wait = min(_TRY_AGAIN_SECONDS * 2.0 ** min(failures, 10), _AT_MOST_SECONDS)
        with self._lock:
            self._rest[batch] = self._due[batch] = current_clock().monotonic() + wait

    def _run(self) -> None:
        while not self._stopped:
            self.turn()
            with self._lock:
                soonest = min([self._look, *self._due.values()])
            if self._wake.wait(max(0.0, soonest - current_clock().monotonic())):
                self._wake.clear()
