"""This module tells what is not ordinary at a lane, as lines of JSON in a file of bounded size.

What is told is decided on the event loop, by a budget for each kind, so that a storm of errors
neither fills the disk nor slows answers; it is written in a thread, and counted where it was not.
No line has the values of features, of entities or of what clients sent.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Literal

import orjson

from headrace.clock import current_clock
from serving.lane.budget import Budget
from serving.lane.events_file import LARGEST_BYTES, SharedFile
from serving.lane.tracing import trace_id_of

if TYPE_CHECKING:
    from serving._request_errors import RequestError
    from serving.lane.exchange import Answer, Asked

Event = Literal["refusal", "slow", "fallback", "breaker", "table", "drain", "suppressed"]
LEVELS: Mapping[Event, int] = {
    "refusal": logging.ERROR,
    "slow": logging.WARNING,
    "fallback": logging.WARNING,
    "breaker": logging.WARNING,
    "table": logging.INFO,
    "drain": logging.INFO,
    "suppressed": logging.WARNING,
}
"""What is told, and how grave it is."""

_MOST_WAITING = 1_000
# their problems name files and services; those of other refusals may quote what a client sent
_PLAIN_PROBLEMS = ("log_unwritable", "starting")
# one thread for all lanes of a process; Python lets it finish its lines when the process ends
_WRITER = ThreadPoolExecutor(1, thread_name_prefix="headrace-events")


class Events:
    """This is the structured log of one endpoint's replica, for its one event loop.

    Args:
        endpoint: Name of the endpoint.
        file: The file; replicas of one endpoint share it. None tells nobody.
        slow_seconds: What takes longer than this to answer is told.
        largest_bytes: How long the file may grow before the next one is begun; five are kept.
    """

    def __init__(
        self,
        endpoint: str,
        file: Path | None,
        *,
        slow_seconds: float = float("inf"),
        largest_bytes: int = LARGEST_BYTES,
    ) -> None:
        self.generation = 0
        self.slow_seconds = slow_seconds
        self.told: Counter[str] = Counter()  # event: lines
        self.suppressed: Counter[str] = Counter()  # event: what was left out
        self._endpoint = endpoint
        self._budget = Budget(current_clock().monotonic)
        self._logger = logging.Logger(f"headrace.lane.{endpoint}")
        self._room = BoundedSemaphore(_MOST_WAITING)
        self._is_heard = file is not None
        if file is not None:
            self._logger.addHandler(SharedFile(file, largest_bytes))

    def tell(self, event: Event, *, code: str | None = None, **fields: Any) -> None:
        """Write a line, unless there were too many of its kind lately.

        Args:
            event: What happened.
            code: Of a refusal; each code has a budget of its own.
            **fields: What else is known: "id" of the decision, "model", "trace", …; what is None
                is left out.
        """
        if not self._is_heard:
            return
        kind = event if code is None else f"{event}:{code}"
        if not self._budget.spend(kind):
            self.suppressed[event] += 1
            return
        left_out = self._budget.left_out(kind)
        self._write(event, {"code": code, **fields, "suppressed": left_out or None})

    def refusal(self, asked: Asked, error: RequestError) -> None:
        """Tell of a refusal that is not the client's fault."""
        problem = error.problem if error.code in _PLAIN_PROBLEMS else None
        self.tell(
            "refusal",
            code=error.code,
            status=error.status,
            problem=problem,
            client=asked.client,
            trace=trace_id_of(asked),
        )

    def slow(self, asked: Asked, answer: Answer, seconds: float) -> None:
        """Tell of an answer that took long."""
        said = _told(answer)
        self.tell(
            "slow",
            ms=round(seconds * 1000, 1),
            id=said.get("id"),
            model=said.get("model"),
            client=asked.client,
            trace=trace_id_of(asked),
        )

    def settle(self) -> None:
        """Tell of what was left out a while ago and that no later line told of."""
        if self._is_heard:
            for kind, count in self._budget.settled():
                event, _, code = kind.partition(":")
                self._write("suppressed", {"of": event, "code": code or None, "suppressed": count})

    def finish(self) -> None:
        """Tell what is left, and wait until all lines are written."""
        self.settle()
        _WRITER.submit(int).result()

    def _write(self, event: Event, fields: Mapping[str, Any]) -> None:
        if not self._room.acquire(blocking=False):  # the disk hangs: memory must not fill
            self.suppressed[event] += 1
            return
        level = LEVELS[event]
        if fields.get("failed") is not None:  # a table that could not be taken
            level = logging.ERROR
        line = {
            "time": current_clock().now().isoformat(),
            "level": logging.getLevelName(level).lower(),
            "event": event,
            "endpoint": self._endpoint,
            "generation": self.generation,
            "pid": os.getpid(),
            **{name: value for name, value in fields.items() if value is not None},
        }
        self.told[event] += 1
        try:
            _WRITER.submit(self._log, level, orjson.dumps(line, default=str).decode())
        except RuntimeError:  # the process is ending
            self._room.release()

    def _log(self, level: int, line: str) -> None:
        try:
            self._logger.log(level, "%s", line)
        finally:
            self._room.release()


def _told(answer: Answer) -> Mapping[str, Any]:
    """Return an answer's document; nothing where it is none."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
