"""This module carries what a body says, prints and logs out of the process that it has to itself.

The child writes lines of JSON into a pipe; the parent reads them while the body runs and passes
them on as if the body ran there: what it says to who watches, its log records to `logging`.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TextIO

from headrace.recording import Event, Invocation, invoking

LONGEST_TEXT = 50_000  # characters of one line; a log is read by people
_END_SECONDS = 5.0  # how long what is in the pipe may take, when the process has ended


class Lines(io.TextIOBase):
    """This is a text stream that hands over whole lines, and writes everything to another too.

    Args:
        below: The stream that everything is written to.
        line: Is given each whole line, without its end; called from the thread that writes.
    """

    def __init__(self, below: TextIO, line: Callable[[str], None]) -> None:
        self._below, self._line = below, line
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write text; lines that are whole by now are handed over."""
        self._below.write(text)
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._line(line)
        return len(text)

    def rest(self) -> None:
        """Hand over a last line that has no end."""
        with self._lock:
            line, self._begun = self._begun, ""
        if line:
            self._line(line)

    def flush(self) -> None:
        """Flush the stream below."""
        self._below.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)  # encoding, fileno, isatty, buffer


class Telling:
    """This writes, in the child, what its parent passes on; a parent that is gone is no error.

    Args:
        pipe: The file descriptor to write to.
        module: Where the body is defined, for what it prints.
    """

    def __init__(self, pipe: int, module: str) -> None:
        self._pipe, self._module = pipe, module
        self._lock = threading.Lock()

    def over(self, invocation: Invocation) -> Invocation:
        """Return an invocation whose sayings and events go to the parent."""
        return replace(
            invocation,
            tell=lambda text: self._send("say", text=text),
            announce=lambda event: self._send("announce", **vars(event)),
        )

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Send what this process prints, logs and is warned of, until the block ends."""
        handler = _Sender(lambda **record: self._send("log", **record))
        root, stdout, shown = logging.getLogger(), sys.stdout, warnings.showwarning
        root.addHandler(handler)
        # one process, one body: what is below INFO is for debuggers
        root.setLevel(min(root.level, logging.INFO))
        lines = Lines(stdout, self._printed)
        sys.stdout = lines
        warnings.showwarning = self._warned
        try:
            yield
        finally:
            lines.rest()
            sys.stdout, warnings.showwarning = stdout, shown
            root.removeHandler(handler)

    def _printed(self, line: str) -> None:
        if line.strip():
            self._send("log", name=self._module, levelno=logging.INFO, msg=line, pathname="")

    def _warned(
        self, message: Any, category: Any, filename: str, lineno: int, *rest: Any, **more: Any
    ) -> None:
        text = warnings.formatwarning(message, category, filename, lineno).strip()
        self._send("log", name="py.warnings", levelno=logging.WARNING, msg=text, pathname=filename)

    def _send(self, kind: str, **what: Any) -> None:
        content = json.dumps({"kind": kind, **what}, default=str).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):
            while content:
                content = content[os.write(self._pipe, content) :]


class _Sender(logging.Handler):
    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(
                name=record.name,
                levelno=record.levelno,
                msg=self.format(record)[:LONGEST_TEXT],  # with its traceback
                pathname=record.pathname,
                lineno=record.lineno,
                created=record.created,
            )
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def listening(invocation: Invocation) -> Iterator[int]:
    """Pass on what a child tells, until the block ends; gives the pipe's end for the child.

    Args:
        invocation: Who hears what the body says.
    """
    reading, writing = os.pipe()
    context = contextvars.copy_context()  # a log belongs to the node of this thread
    listener = threading.Thread(
        target=context.run, args=(_pass_on, reading, invocation), daemon=True
    )
    listener.start()
    try:
        yield writing
    finally:
        os.close(writing)
        # a process that the body has left behind may hold the other end for ever
        listener.join(_END_SECONDS)


def _pass_on(reading: int, invocation: Invocation) -> None:
    with open(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                told = json.loads(line)
                _passed(told.pop("kind"), told, invocation)
            except Exception:  # who hears it must not end it: the child would wait for its pipe
                logging.getLogger(__name__).debug("Not passed on: %r", line, exc_info=True)


def _passed(kind: str, told: dict[str, Any], invocation: Invocation) -> None:
    if kind == "say" and invocation.tell is not None:
        invocation.tell(told["text"])
    elif kind == "announce" and invocation.announce is not None:
        invocation.announce(Event(**told))
    elif kind == "log":
        record = logging.makeLogRecord(told | {"levelname": logging.getLevelName(told["levelno"])})
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            with invoking(invocation):  # it is the body's, as what it logs in this process is
                logger.handle(record)
