"""This module holds who listens while a flow's body is read: the tracer, if there is one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

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


_UNSET: Any = object()
_tracer: ContextVar[Tracer | None] = ContextVar("headrace_tracer", default=None)
_reading: list[tuple[Tracer, frozenset[threading.Thread]]] = []  # with the threads there were


def current_tracer() -> Tracer | None:
    """Return the tracer of the flow that is being planned, None outside a plan."""
    return _tracer.get()


def tracer_of_thread() -> Tracer | None:
    """Return the tracer of the flow whose body started the running thread, None otherwise.

    A thread does not see the tracer of its starter, so an operator called in it would run. It is
    taken to be a flow body's when it began while the body was read and runs no operator.
    """
    if not _reading or _tracer.get(_UNSET) is not _UNSET:
        return None
    thread = threading.current_thread()
    return next((tracer for tracer, before in _reading if thread not in before), None)


@contextlib.contextmanager
def tracing(tracer: Tracer | None) -> Iterator[None]:
    """Let `tracer` record the operator calls of the block; None lets them run."""
    entry = None if tracer is None else (tracer, frozenset(threading.enumerate()))
    if entry is not None:
        _reading.append(entry)
    token = _tracer.set(tracer)
    try:
        yield
    finally:
        _tracer.reset(token)
        if entry is not None:
            _reading.remove(entry)
