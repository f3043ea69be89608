"""This module passes the counts of guardrails from replicas to the serving host, as files.

Counts only grow while a process lives, so that a notice which is lost, or read twice, changes
nothing: the next one says all of it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import orjson

from serving.lane.notices import own_start

if TYPE_CHECKING:
    from serving.lane.guard_counts import GuardCounts
    from serving.lane.table import LaneTable

Part = Literal["answers", "shadow"]
GUARD_TELL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class GuardNotice:
    """This is what one process counted of the guarded models of one endpoint, since it began.

    Args:
        endpoint: The endpoint.
        part: Whether these are live answers, or scores in shadow.
        writer: A name that no other process, before or after, has.
        pid: The process.
        started: When the system started it, in seconds since 1970.
        rows: For each model and experiment: trials, failures, calls, and slow calls by limit.
    """

    endpoint: str
    part: Part
    writer: str
    pid: int
    started: float
    rows: tuple[Mapping[str, Any], ...]


class GuardTeller:
    """This leaves the counts of one process where the host reads them.

    Args:
        counts: The counts.
        part: What is counted.
    """

    def __init__(self, counts: GuardCounts, part: Part) -> None:
        self._counts, self._part = counts, part
        self._writer, self._started = uuid4().hex, own_start()
        self._table: LaneTable | None = None
        self._said: tuple[Mapping[str, Any], ...] = ()
        self._telling = threading.Lock()
        self._is_due = False
        self._told: asyncio.Future[None] | None = None

    def follow(self, table: LaneTable) -> None:
        """Count what a table guards, from now on."""
        self._table = table
        self._counts.take(table.guards)

    def keep_telling(self) -> None:
        """Tell twice a second as long as there is something; in the event loop."""
        if self._is_due:
            return
        table = self._table
        self._is_due = table is not None and bool(table.guards or self._news())
        if self._is_due:
            asyncio.get_running_loop().call_later(GUARD_TELL_SECONDS, self._turn)

    def tell(self) -> None:
        """Write what is counted, if it has grown; one that cannot be written is written later."""
        with self._telling, contextlib.suppress(OSError):
            table, rows = self._table, self._news()
            if table is None or rows is None:
                return
            notice = GuardNotice(
                endpoint=table.endpoint,
                part=self._part,
                writer=self._writer,
                pid=os.getpid(),
                started=self._started,
                rows=rows,
            )
            write_guards(table.notices, notice)
            self._said = rows

    def _news(self) -> tuple[Mapping[str, Any], ...] | None:
        rows = tuple(self._counts.told())
        return None if rows == self._said else rows

    def _turn(self) -> None:
        self._is_due = False
        if self._told is None or self._told.done():
            self._told = asyncio.get_running_loop().run_in_executor(None, self.tell)
        self.keep_telling()


def guard_file(folder: Path, notice: GuardNotice) -> Path:
    """Return where a process leaves its counts."""
    return folder / f"{notice.endpoint}.guard.{notice.writer}.json"


def is_guard_file(name: str) -> bool:
    """Return whether a file of the folder holds counts."""
    return ".guard." in name and name.endswith(".json")


def write_guards(folder: Path, notice: GuardNotice) -> None:
    """Replace a process's counts; a reader sees the old or the new ones.

    Raises:
        OSError: They cannot be written; the old ones stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = guard_file(folder, notice)
    half = path.with_suffix(".half")
    half.write_bytes(orjson.dumps(asdict(notice)))
    half.replace(path)


def read_guards(path: Path) -> GuardNotice | None:
    """Return the counts in a file; None where it is gone, or of another version of Headrace."""
    try:
        told = orjson.loads(path.read_bytes())
        rows = tuple(told["rows"])
        return GuardNotice(**(told | {"rows": rows})) if all(map(_is_row, rows)) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def guard_notices(folder: Path, endpoint: str) -> list[GuardNotice]:
    """Return what the replicas of an endpoint last said; empty where none has said anything."""
    found = [read_guards(path) for path in sorted(folder.glob(f"{endpoint}.guard.*.json"))]
    return [each for each in found if each is not None and each.endpoint == endpoint]


def _is_row(row: Any) -> bool:
    counts = [row[name] for name in ("trials", "failures", "calls")] + [*row["slow"].values()]
    names = row["model"], row["experiment"], *row["slow"]
    return all(isinstance(each, int) for each in counts) and all(map(_is_text, names))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
