"""This module writes many rows of a view online at once, where a newer event is never lost.

What is there is looked up for a whole batch, under the lock of the transaction, and only the rows
that win are written: by executing one statement for all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features import _online_tables as tables
from features._online_batch import Batch

_LOOKED_UP = 1000  # keys in a statement
Fact = tuple[int, int, bytes]


@dataclass(frozen=True, kw_only=True)
class Written:
    """This is what became of a batch.

    Args:
        written: How many entities got the row that was given.
        older: How many have a newer event, or a later word on it.
    """

    written: int
    older: int


class BulkTable:
    """This writes batches into the table of a version of a view.

    Args:
        connection: The file, in a transaction whenever something is written.
        table: Name of the table with the values.
        features: Names of the features of a batch, in its order.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, features: Sequence[str]) -> None:
        self._connection = connection
        self._table, self._features = table, features
        self._upsert_fact = tables.upsert_fact(table)
        self._upsert_values = tables.upsert_values(table, features)

    def write(self, batch: Batch, *, alone: bool = False) -> Written:
        """Write the rows that are newer than what is there.

        Args:
            batch: The rows, one for each entity.
            alone: Whether other features that an entity has are removed when it gets a newer row:
                nobody may read features of two events as one row.
        """
        there = self._facts_of(batch.keys)
        wins, older, outdated = [], 0, []
        for key, event_us, known_us, digest in batch.facts():
            fact = (event_us, known_us, digest)
            known = there.get(key)
            wins.append(known is None or beats(fact, known))
            if known is not None:
                older += fact[:2] < known[:2]
                if fact[:2] > known[:2]:
                    outdated.append((key,))
        won = batch if all(wins) else batch.only(wins)
        if alone:
            others = tables.delete_other_features(self._table, self._features)
            self._connection.executemany(others, outdated)
        if won.keys:
            self._connection.executemany(self._upsert_fact, won.facts())
            self._connection.executemany(self._upsert_values, won.values())
        return Written(written=len(won), older=older)

    def lapse(self, moments: Iterable[tuple[bytes, int | None]], *, known_us: int) -> None:
        """Say from when on what entities have no longer holds.

        Args:
            moments: Entities, each with the moment; None where it holds on.
            known_us: What an entity has that was known later than this is left as it is.
        """
        self._connection.executemany(
            tables.set_until(self._table), [(until, key, known_us) for key, until in moments]
        )

    def hold_on(self, until_us: int) -> None:
        """Let hold on what should have changed by a moment, now that all known by then is there."""
        self._connection.execute(tables.forget_until(self._table), (until_us,))

    def _facts_of(self, keys: Sequence[bytes]) -> dict[bytes, Fact]:
        """Return the facts that are there of some entities."""
        newest = self._connection.execute(tables.newest_key(self._table)).fetchone()[0]
        if not keys or newest is None or newest < min(keys):
            return {}  # a table that is filled in order has nothing of what is still to come
        found: dict[bytes, Fact] = {}
        for start in range(0, len(keys), _LOOKED_UP):
            some = keys[start : start + _LOOKED_UP]
            statement = tables.select_facts(self._table, len(some))
            for key, event_us, known_us, digest in self._connection.execute(statement, some):
                found[key] = (event_us, known_us, digest)
        return found


def beats(fact: Fact, known: Fact) -> bool:
    """Return whether a fact replaces one: a newer event, or a later or another word on it."""
    return fact[:2] > known[:2] or (fact[:2] == known[:2] and fact[2] != known[2])
