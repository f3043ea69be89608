"""This module finds the last decision about an entity, for outcomes that know no decision's id.

It follows the decision log as its shadows do, so that it knows what every replica decided and is
made anew after a restart. Nobody pays for it before the first outcome by entity comes.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headrace.decisions import Position, Tail
from headrace.decisions.folder import LogFolder
from headrace.decisions.inventory import read_tally

Columns = tuple[str, ...]
Key = tuple[Any, ...]
_MOST_SETS = 8
_AT_ONCE = 1000


class _Entry(NamedTuple):
    """This is a decision that is remembered: its moment and id, and its key in each set."""

    at_us: int
    id: str
    keys: tuple[tuple[Columns, Key], ...]


class RecentDecisions:
    """This remembers the last decisions of an endpoint, by columns of their entities.

    Its methods may be called from any thread, and wait for each other.

    Args:
        folder: The decision log's folder.
        most: How many decisions are remembered.
    """

    def __init__(self, folder: Path, *, most: int = 100_000) -> None:
        self.most = most
        self._folder = folder
        self._lock = threading.Lock()
        self._tail: Tail | None = None
        self._sets: list[Columns] = []
        self._by: dict[Columns, dict[Key, list[tuple[int, str]]]] = {}
        self._order: deque[_Entry] = deque()
        self._columns: dict[str, None] = {}

    def catch_up(self, wanted: Iterable[Columns]) -> None:
        """Read what was decided since; it may take a second when columns are new.

        Args:
            wanted: The columns that are to be looked for, each set in alphabetical order.

        Raises:
            DamagedArtifactError: A record of the log is damaged.
        """
        with self._lock:
            strange = [columns for columns in dict.fromkeys(wanted) if columns not in self._by]
            if strange:
                self._begin_again((*self._sets, *strange)[-_MOST_SETS:])
            assert self._tail is not None  # noqa: S101  somebody wants something
            while found := self._tail.poll(_AT_ONCE):
                for _, document in found:
                    self._remember(document["at"], document["id"], document.get("entity") or {})

    def newest(
        self, entity: Mapping[str, Any], *, since_us: int, until_us: int
    ) -> tuple[int, list[str]]:
        """Return the moment and the ids of the last decisions about an entity within a time.

        Args:
            entity: Columns and their values, such as {"tail": "N14228"}.
            since_us: First moment.
            until_us: Last moment.

        Returns:
            No id where there is none; several where they are of one moment.
        """
        columns = tuple(sorted(entity))
        with self._lock:
            key = tuple(entity[name] for name in columns)
            made = self._by.get(columns, {}).get(key, [])
            end = bisect_right(made, until_us, key=_moment)
            if not end or made[end - 1][0] < since_us:
                return 0, []
            at_us = made[end - 1][0]
            start = bisect_left(made, at_us, hi=end, key=_moment)
            return at_us, list(dict.fromkeys(name for _, name in made[start:end]))

    def columns(self) -> list[str]:
        """Return the columns that entities of remembered decisions have."""
        with self._lock:
            return list(self._columns)

    def _begin_again(self, sets: Iterable[Columns]) -> None:
        self._sets = list(sets)
        self._by = {columns: {} for columns in self._sets}
        self._order.clear()
        self._columns.clear()
        if self._tail is not None:
            self._tail.close()
        self._tail = Tail.open(self._folder, _beginning(self._folder, self.most))

    def _remember(self, at_us: int, name: str, entity: Mapping[str, Any]) -> None:
        self._columns.update(dict.fromkeys(entity))
        keys = []
        for columns in self._sets:
            if not all(entity.get(column) is not None for column in columns):
                continue
            key = tuple(entity[column] for column in columns)
            insort(self._by[columns].setdefault(key, []), (at_us, name))
            keys.append((columns, key))
        self._order.append(_Entry(at_us, name, tuple(keys)))
        if len(self._order) > self.most:
            self._forget(self._order.popleft())

    def _forget(self, entry: _Entry) -> None:
        for columns, key in entry.keys:
            made = self._by[columns][key]
            del made[bisect_left(made, (entry.at_us, entry.id))]
            if not made:
                del self._by[columns][key]


def _moment(made: tuple[int, str]) -> int:
    return made[0]


def _beginning(folder: Path, most: int) -> Position:
    """Return where to begin reading for the last `most` decisions: whole segments are passed."""
    files = LogFolder(folder)
    tallies = {name: read_tally(files.idx(name)) for name in files.names()}
    sealed = {name: tally for name, tally in tallies.items() if tally is not None}
    read, passed = 0, {}
    for name in sorted(sealed, key=lambda each: -sealed[each].newest):
        if read >= most:
            passed[name] = sealed[name].size
        read += sealed[name].decisions
    return Position(passed)
