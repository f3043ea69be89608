"""This module scores with a model in a thread that nobody has to wait for.

A model that hangs keeps its thread, and nothing else: the thread is a daemon, so that the process
ends without it, and one model never has two.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Score = Callable[[Sequence[Sequence[Any]]], list[float]]
_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class _Queue:
    """This is what a thread is to do, and how much of it came to an end."""

    def __init__(self) -> None:
        self.works: SimpleQueue[_Work | None] = SimpleQueue()
        self.ended = 0


class ThreadScorer:
    """This scores in a thread of its own, one call after the other.

    Args:
        ref: Which version it is, "name/3".
        load: Returns what scores rows; called in the thread, before everything else.
    """

    def __init__(self, ref: str, load: Callable[[], Score]) -> None:
        self.ref = ref
        self._score: Score | None = None
        self._load = load
        self._queue = _Queue()
        self._begun = 0
        # the thread does not know this object: when nobody asks any more, it is told to end
        weakref.finalize(self, self._queue.works.put, None)
        threading.Thread(
            target=_work, args=(self._queue,), name=f"challenger {ref}", daemon=True
        ).start()

    @property
    def is_busy(self) -> bool:
        """Whether something that it was asked has not come to an end."""
        return self._begun != self._queue.ended

    async def ready(self) -> None:
        """Wait until the model is loaded and nothing else is under way.

        Raises:
            Exception: What loading raised.
        """
        if self._score is None:
            self._score = await self._done(self._load)
        await self._done(_nothing)

    async def score_rows(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        """Return one score a row of raw values, in the order of the model's card."""
        assert self._score is not None  # noqa: S101  nobody is given one that is not ready
        return await self._done(partial(self._score, rows))

    def _done(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._begun += 1
        self._queue.works.put((work, loop, future))
        return future


def _nothing() -> None:
    """Do nothing, in turn."""


def _work(queue: _Queue) -> None:
    while (each := queue.works.get()) is not None:
        work, loop, future = each
        try:
            told = partial(_tell, future, work(), None)
        except BaseException as error:  # it is the one who asked who is told
            told = partial(_tell, future, None, error)
        queue.ended += 1
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told)
        del each, work, loop, future, told  # a thread that waits keeps nothing alive


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # nobody waits for it any more
        return
    if error is None:
        future.set_result(result)
    else:
        wrapped = error if isinstance(error, Exception) else RuntimeError(repr(error))
        future.set_exception(wrapped)
