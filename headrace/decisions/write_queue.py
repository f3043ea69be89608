"""This module lets an event loop log without waiting for a slow disk, and bounds what waits.

While the disk is quick a write is made at once: a thread would cost more than the write. When one
takes long, and always when each has to reach the disk, a thread writes what has gathered meanwhile
as one batch. What waits is bounded in bytes and in time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from headrace.clock import SystemClock
from headrace.decisions.columns import Columns
from headrace.decisions.folder import LogBusyError, LogWriteError
from headrace.decisions.frames import Record

SLOW_SECONDS = 0.02
"""From here on a write is slow: an event loop should not wait for another like it."""
MOST_WAITING_BYTES = 32 << 20
PATIENCE_SECONDS = 2.0
_QUICK_AGAIN = 20  # quick writes, one after the other, until the loop writes itself again
_clock = SystemClock()


class Encoded(NamedTuple):
    """These are records that are logged together, the columns they need, and how long they are."""

    records: Sequence[Record]
    columns: Mapping[int, Columns]
    size: int


class _Waiting:
    """This waits for its turn, since a moment."""

    def __init__(self, encoded: Encoded, loop: asyncio.AbstractEventLoop) -> None:
        self.encoded = encoded
        self.loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        self.timer = loop.call_later(PATIENCE_SECONDS, self._expire)
        self._owner: dict[str, str] = {}

    def claim(self, who: str) -> bool:
        """Say whether it is for this one to deal with: the first who asks, and nobody else."""
        return self._owner.setdefault("who", who) == who  # one step, whichever thread asks

    def finish(self, error: BaseException | None) -> None:
        """Tell, from any thread, that it is logged, or why not."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._finish, error)

    def _finish(self, error: BaseException | None) -> None:
        self.timer.cancel()
        if self.done.done():  # it was given up, or waited for too long
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    def _expire(self) -> None:
        if not self.done.done():
            self.done.set_exception(_too_slow(sure=self.claim("loop")))


class WriteQueue:
    """These are the writes of one log, on their way to the disk.

    Args:
        write: Writes all or none; called by one thread at a time.
        probe: Raises while what failed would fail again.
        waits_always: Whether every write waits for the disk, so that the loop never makes one.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Encoded]], None],
        probe: Callable[[], None],
        *,
        waits_always: bool,
    ) -> None:
        self._write = write
        self._probe = probe
        self._waits_always = waits_always
        self._quick = 0 if waits_always else _QUICK_AGAIN
        self._failed = False
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._writing_since: float | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def require_room(self) -> None:
        """Refuse while what is submitted could not be logged in time.

        Raises:
            LogWriteError: It could not be logged at all.
        """
        if self._failed:
            self._probe()
            self._failed = False
        since = self._writing_since
        late = since is not None and _clock.monotonic() - since > PATIENCE_SECONDS
        if late or self._bytes > MOST_WAITING_BYTES:
            raise _too_much(self._bytes, late=late)

    def submit(self, encoded: Encoded) -> asyncio.Future[None] | None:
        """Write at once, and return None; or have it written, and return what is done then.

        Raises:
            LogWriteError: It could not be written, or too much waits.
        """
        busy = self._waiting or self._writing_since is not None
        if not self._closed and (busy or self._quick < _QUICK_AGAIN):
            return self._enqueue(encoded)
        begun = _clock.monotonic()
        self._attempt([encoded])
        if _clock.monotonic() - begun > SLOW_SECONDS:
            self._quick = 0
        return None

    def close(self) -> None:
        """Write what waits, and take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _attempt(self, many: Sequence[Encoded]) -> None:
        try:
            self._write(many)
        except LogWriteError:
            self._failed = True
            raise
        self._failed = False

    def _enqueue(self, encoded: Encoded) -> asyncio.Future[None]:
        if self._bytes + encoded.size > MOST_WAITING_BYTES:
            raise _too_much(self._bytes, late=False)
        waiting = _Waiting(encoded, asyncio.get_running_loop())
        with self._changed:
            self._waiting.append(waiting)
            self._bytes += encoded.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="decision log")
                self._thread.start()
            self._changed.notify()
        return waiting.done

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                taken, self._waiting = self._waiting, []
                # what was told that it waited too long is not logged behind its back
                turn = [each for each in taken if each.claim("thread")]
                self._writing_since = begun = _clock.monotonic()
            error: BaseException | None = None
            try:
                if turn:
                    self._attempt([each.encoded for each in turn])
            except Exception as problem:
                error = problem
            took = _clock.monotonic() - begun
            with self._changed:
                self._bytes -= sum(each.encoded.size for each in taken)
                self._writing_since = None
                if not self._waits_always:
                    self._quick = 0 if took > SLOW_SECONDS else self._quick + 1
            for each in turn:
                each.finish(error)


def _too_slow(*, sure: bool) -> LogBusyError:
    what = (
        "Nothing of it was logged"
        if sure
        else "Whether it was logged will show: the same id gets the same answer then"
    )
    return LogBusyError(
        f"The disk of the decision log is slow: a write waited {PATIENCE_SECONDS:g} s. {what}.",
        remedy="Try again in a moment; look at what else uses that disk.",
    )


def _too_much(size: int, *, late: bool) -> LogBusyError:
    why = (
        f"a write has been under way for more than {PATIENCE_SECONDS:g} s"
        if late
        else f"{size:,} bytes wait for it"
    )
    return LogBusyError(
        f"The disk of the decision log is slow: {why}.",
        remedy="Try again in a moment; look at what else uses that disk.",
    )
