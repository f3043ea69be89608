"""This module holds who listens while a flow's body is read: the tracer, if there is one."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from headrace.operation import Operator
    from headrace.symbols import TraceStopped


class Tracer(Protocol):
    """This records calls instead of running them."""

    def call(
        self, operator: Operator[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> object:
        """Record a call and return symbolic artifacts of the declared kinds."""
        ...

    def stop(self, reason: TraceStopped) -> TraceStopped:
        """Note why the body cannot be read on, at once, and return it to be raised."""
        ...


_tracer: ContextVar[Tracer | None] = ContextVar("headrace_tracer", default=None)
_threads: WeakKeyDictionary[threading.Thread, Tracer] = WeakKeyDictionary()


def current_tracer() -> Tracer | None:
    """Return the tracer of the flow that is being planned, None outside a plan."""
    return _tracer.get()


def tracer_of_thread() -> Tracer | None:
    """Return the tracer of the flow whose body started the running thread, None otherwise.

    A thread does not see the tracer of its starter, so an operator called in it would run.
    """
    return _threads.get(threading.current_thread()) if _threads else None


@contextlib.contextmanager
def tracing(tracer: Tracer | None) -> Iterator[None]:
    """Let `tracer` record the operator calls of the block; None lets them run."""
    if tracer is not None:
        _watch_threads()
    token = _tracer.set(tracer)
    try:
        yield
    finally:
        _tracer.reset(token)


def _note_thread(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "_thread.start_new_thread" and (tracer := _tracer.get()) is not None:
        thread = getattr(arguments[0], "__self__", None)
        if isinstance(thread, threading.Thread):
            _threads[thread] = tracer


@functools.cache
def _watch_threads() -> None:
    # An audit hook stays for the life of the process, so it is added once and asks the context.
    sys.addaudithook(_note_thread)
