"""This module puts what a node's body prints, logs and fails with into the log of its task run.

One handler on the root logger, one stream in the place of standard output and one hook for Python's
warnings serve all nodes that run at a time: a context variable tells whose body it is.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.execution.channel import LONGEST_TEXT, Lines
from headrace.execution.frames import frames_of_body, told_of_body
from headrace.recording import current_invocation
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.execution import NodeOutcome
    from headrace.plan import Node

# What carries logs away does not log about itself; else each line would make another.
_CARRIERS = ("prefect", "httpx", "httpcore", "anyio", "asyncio", "websockets", "h11", "h2", "hpack")

Send = Callable[[logging.LogRecord], None]


@dataclass(kw_only=True)
class _Task:
    """This is the task run whose body a thread runs.

    Args:
        send: Sends a record to its log.
        module: Where the operator is defined.
        printed: What its body prints, as lines; None before it does.
        ended: Whether it is over; contexts are copied, and copies outlive it.
        sending: Whether something is being sent; what that logs is not sent.
    """

    send: Send
    module: str
    printed: Lines | None = None
    ended: bool = False
    sending: bool = False


_task: ContextVar[_Task | None] = ContextVar("headrace_task_log", default=None)


def logged(node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
    """Do the work of a node inside its Prefect task run, whose log gets what the body tells.

    Args:
        node: The node.
        work: Its work; called in this thread.
    """
    send = _sender()
    if send is None:
        return work()
    task = _Task(send=send, module="" if node.operator is None else node.operator.module)
    token = _task.set(task)
    try:
        with _hooks.held(task.module):
            outcome = work()
        if task.printed is not None:
            task.printed.rest()
        if outcome.state == "failed":
            _log(task, logging.ERROR, _told(outcome), task.module)
        return outcome
    finally:
        task.ended = True
        _task.reset(token)


def _sender() -> Send | None:
    """Return what sends a record to the log of this thread's task run."""
    from prefect.context import TaskRunContext
    from prefect.logging.handlers import APILogHandler

    context = TaskRunContext.get()
    if context is None:
        return None
    handler, run = APILogHandler(), context.task_run

    def send(record: logging.LogRecord) -> None:
        record.flow_run_id, record.task_run_id = run.flow_run_id, run.id
        handler.emit(record)

    return send


def _told(outcome: NodeOutcome) -> str:
    """Return why a node failed, with the traceback from the body on."""
    error = outcome.error
    if error is None:
        return outcome.message
    from_body = frames_of_body(error.__traceback__) or error.__cause__
    # the kernel's own words stand alone; an error from another process brings its traceback
    return told_of_body(error) if from_body or hasattr(error, "__notes__") else outcome.message


def _log(task: _Task, level: int, text: str, name: str) -> None:
    record = logging.LogRecord(name or "headrace", level, "", 0, text, None, None)
    _send(task, record)


def _send(task: _Task, record: logging.LogRecord) -> None:
    """Send a record; what cannot be sent is lost, and never fails the node."""
    if task.sending or task.ended:
        return
    task.sending = True
    try:
        text = record.getMessage()
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]} … ({len(text):,} characters)"
        copied = logging.makeLogRecord({**vars(record), "msg": text, "args": None})
        task.send(copied)
    except Exception:
        logging.getLogger(__name__).debug("A line of a log was lost.", exc_info=True)
    finally:
        task.sending = False


def _body_of_this_thread() -> _Task | None:
    """Return the task run whose body this is; what observers do in its thread is not the body's."""
    task = _task.get()
    return None if task is None or task.ended or current_invocation() is None else task


class _Handler(logging.Handler):
    """This passes on records from first-party code at INFO and above, others from WARNING on."""

    def __init__(self, packages: frozenset[str], folders: tuple[str, ...]) -> None:
        super().__init__(logging.INFO)
        self._packages, self._folders = packages, folders

    def emit(self, record: logging.LogRecord) -> None:
        task = _body_of_this_thread()
        top = record.name.partition(".")[0]
        if task is None or top in _CARRIERS:
            return
        own = (
            top in self._packages
            or record.name == task.module
            or record.pathname.startswith(self._folders)
        )
        if own or record.levelno >= logging.WARNING:
            _send(task, record)


class _Hooks:
    """This hooks into logging, standard output and warnings while at least one node runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes = 0
        self._undo = contextlib.ExitStack()

    @contextlib.contextmanager
    def held(self, module: str) -> Iterator[None]:
        """Keep the hooks in their places for a block, and the operator's logger at INFO."""
        with self._lock:
            if not self._nodes:
                self._hook()
            self._nodes += 1
            self._undo.enter_context(_at_info(module))
        try:
            yield
        finally:
            with self._lock:
                self._nodes -= 1
                if not self._nodes:
                    self._undo.close()

    def _hook(self) -> None:
        roots = settings().roots
        packages = frozenset(_packages(roots))
        handler = _Handler(packages, tuple(f"{root}/" for root in roots))
        root = logging.getLogger()
        root.addHandler(handler)
        self._undo.callback(root.removeHandler, handler)
        for package in packages:
            self._undo.enter_context(_at_info(package))
        self._undo.enter_context(_printing())
        self._undo.enter_context(_warning())


def _packages(roots: tuple[Path, ...]) -> Iterator[str]:
    """Yield the names at the top of first-party modules' names, as their loggers have them."""
    for root in roots:
        if (root / "__init__.py").is_file():
            yield root.name
        else:
            yield from (each.stem for each in root.glob("[!_.]*") if each.suffix in ("", ".py"))


@contextlib.contextmanager
def _at_info(name: str) -> Iterator[None]:
    """Let a logger that has no level of its own pass INFO for a block."""
    logger = logging.getLogger(name)
    if not name or logger.level != logging.NOTSET or logger.isEnabledFor(logging.INFO):
        yield
        return
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


class _Printed:
    """This is where standard output is written to while nodes run: also to the body's log."""

    def __init__(self, below: Any) -> None:
        self._below = below

    def write(self, text: str) -> int:
        task = _body_of_this_thread()
        if task is None:
            return int(self._below.write(text))
        if task.printed is None:
            task.printed = Lines(self._below, lambda line: _printed(task, line))
        return task.printed.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _printed(task: _Task, line: str) -> None:
    if line.strip():
        _log(task, logging.INFO, line, task.module)


@contextlib.contextmanager
def _printing() -> Iterator[None]:
    before = sys.stdout
    here = _Printed(before)
    sys.stdout = here
    try:
        yield
    finally:
        if sys.stdout is here:
            sys.stdout = before


@contextlib.contextmanager
def _warning() -> Iterator[None]:
    before = warnings.showwarning

    def shown(
        message: Any, category: Any, filename: str, lineno: int, *rest: Any, **more: Any
    ) -> None:
        before(message, category, filename, lineno, *rest, **more)
        task = _body_of_this_thread()
        if task is not None:
            text = warnings.formatwarning(message, category, filename, lineno).strip()
            _log(task, logging.WARNING, text, "py.warnings")

    warnings.showwarning = shown
    try:
        yield
    finally:
        if warnings.showwarning is shown:
            warnings.showwarning = before


_hooks = _Hooks()
