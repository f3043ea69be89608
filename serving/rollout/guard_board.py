"""This module reads the counts that replicas left, those that changed since the last look."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from serving.lane.guard_notice import GuardNotice, guard_file, is_guard_file, read_guards

# the same process's start may be read a little differently when the clock was set in between
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """This is what one look found.

    Args:
        notices: Those that changed.
        gone: By endpoint, the files of processes that have ended, by their writers.
    """

    notices: tuple[GuardNotice, ...]
    gone: dict[str, dict[str, Path]] = field(default_factory=dict)


class GuardBoard:
    """These are the notices of all replicas, as they were last seen.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._known: dict[str, GuardNotice] = {}

    def look(self) -> Found:
        """Read what changed, and see which of the processes have ended."""
        files = self._files()
        changed = [name for name, state in files.items() if self._seen.get(name) != state]
        # who has ended is seen before their last words are read: then there are none after
        ended = {name for name, notice in self._known.items() if not _is_alive(notice)}
        self._seen = files
        notices = []
        for name in changed:
            notice = read_guards(self._folder / name)
            if notice is not None:
                self._known[name] = notice
                notices.append(notice)
        self._known = {name: self._known[name] for name in self._known if name in files}
        gone: dict[str, dict[str, Path]] = {}
        for name in ended & files.keys() - set(changed):
            notice = self._known[name]
            gone.setdefault(notice.endpoint, {})[notice.writer] = self._folder / name
        return Found(notices=tuple(notices), gone=gone)

    def again(self, notices: Iterable[GuardNotice]) -> None:
        """Have notices read once more at the next look."""
        for notice in notices:
            self._seen.pop(guard_file(self._folder, notice).name, None)

    def _files(self) -> dict[str, tuple[int, int, int]]:
        try:
            with os.scandir(self._folder) as entries:
                found = [entry for entry in entries if is_guard_file(entry.name)]
                states = [(entry.name, entry.stat()) for entry in found]
        except OSError:  # the folder is not there yet, or a file went meanwhile: the next look
            return dict(self._seen)
        return {name: (s.st_ino, s.st_mtime_ns, s.st_size) for name, s in states}


def _is_alive(notice: GuardNotice) -> bool:
    try:
        process = psutil.Process(notice.pid)
        same = abs(process.create_time() - notice.started) <= _START_TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
