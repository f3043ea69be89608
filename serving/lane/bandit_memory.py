"""This module is the file in which outcomes are counted: one small SQLite database a dealing.

Counts, the decisions that may still get an outcome, and how far the log was read change in one
transaction. A follower that was killed goes on from there; of two at once, one is told that it is
late.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from headrace.decisions import Position
from headrace.errors import ServiceError
from serving.bandit import Counts
from serving.lane.bandit_outcomes import Told

_TABLES = """
CREATE TABLE IF NOT EXISTS read_until (only INTEGER PRIMARY KEY, position TEXT, newest INTEGER);
CREATE TABLE IF NOT EXISTS arm (
    model TEXT PRIMARY KEY, decided INTEGER, unknown INTEGER,
    number INTEGER, mean REAL, squares REAL, others INTEGER
);
CREATE TABLE IF NOT EXISTS decision (
    key INTEGER PRIMARY KEY, model TEXT, at INTEGER, counted REAL
);
CREATE INDEX IF NOT EXISTS decision_at ON decision (at);
CREATE TABLE IF NOT EXISTS told (
    number INTEGER PRIMARY KEY, key INTEGER, known INTEGER, logged INTEGER, value REAL,
    corrects INTEGER
);
CREATE INDEX IF NOT EXISTS told_key ON told (key);
"""


class CountedElsewhereError(ServiceError):
    """This file was written by another follower meanwhile; nothing was counted twice."""


@dataclass
class Arm:
    """This is what is counted of one model, while it is counted.

    Args:
        decided: Randomised decisions that it made.
        unknown: Those of age of which no outcome was known.
        counts: What the outcomes amount to.
    """

    decided: int = 0
    unknown: int = 0
    counts: Counts = field(default_factory=Counts)


class Memory:
    """This is the file of one dealing of traffic.

    Args:
        path: The file; made if there is none.

    Raises:
        OSError: The folder cannot be made.
        sqlite3.Error: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript(_TABLES)

    @contextmanager
    def changing(self, position: Position, newest: int) -> Iterator[None]:
        """Make what is done within one transaction, if the log was read until there.

        Raises:
            CountedElsewhereError: Somebody else has gone on from there.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self.read_until() != (position, newest):
                self._refuse()
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def read_until(self) -> tuple[Position, int]:
        """Return how far the log was read, and the newest moment that was read of."""
        row = self._db.execute("SELECT position, newest FROM read_until").fetchone()
        if row is None:
            return Position(), 0
        return Position.from_json(orjson.loads(row[0])), row[1]

    def keep(self, arms: dict[str, Arm], position: Position, newest: int) -> None:
        """Write down what was counted, and how far the log was read."""
        rows = [
            (model, a.decided, a.unknown, c.number, c.mean, c.squares, c.others)
            for model, a in arms.items()
            for c in (a.counts,)
        ]
        self._db.executemany("INSERT OR REPLACE INTO arm VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        until = (orjson.dumps(position.to_json()).decode(), newest)
        self._db.execute("INSERT OR REPLACE INTO read_until VALUES (1, ?, ?)", until)

    def arms(self, models: Iterable[str]) -> dict[str, Arm]:
        """Return what was counted of models, and of any other that was counted before."""
        found = {model: Arm() for model in models}
        for model, decided, unknown, number, mean, squares, others in self._db.execute(
            "SELECT model, decided, unknown, number, mean, squares, others FROM arm"
        ):
            counts = Counts(number=number, mean=mean, squares=squares, others=others)
            found[model] = Arm(decided=decided, unknown=unknown, counts=counts)
        return found

    def decided(self, key: int, model: str, at: int) -> bool:
        """Remember a decision, and return whether it is new."""
        row = (key, model, at)
        done = self._db.execute("INSERT OR IGNORE INTO decision VALUES (?, ?, ?, NULL)", row)
        return done.rowcount == 1

    def heard(self, key: int, told: Told) -> None:
        """Remember what was told of a decision, known here or not."""
        row = (key, told.known, told.logged, told.value, told.corrects)
        self._db.execute("INSERT INTO told VALUES (NULL, ?, ?, ?, ?, ?)", row)

    def told(self, key: int) -> list[Told]:
        """Return all that was told of a decision."""
        rows = self._db.execute(
            "SELECT known, logged, value, corrects FROM told WHERE key = ?", (key,)
        )
        return [Told(known=k, logged=at, value=v, corrects=bool(c)) for k, at, v, c in rows]

    def counted(self, key: int) -> tuple[str, float | None] | None:
        """Return the model of a decision and the outcome that counts; None if it is not known."""
        row = self._db.execute("SELECT model, counted FROM decision WHERE key = ?", (key,))
        found: tuple[str, float | None] | None = row.fetchone()
        return found

    def count(self, key: int, value: float | None) -> None:
        """Remember which outcome of a decision counts."""
        self._db.execute("UPDATE decision SET counted = ? WHERE key = ?", (value, key))

    def before(self, at: int) -> list[tuple[int, str, int]]:
        """Return the decisions of before a moment, the oldest first: key, model, moment."""
        # not those of that very moment: more that is known then may be on its way
        return self._db.execute(
            "SELECT key, model, at FROM decision WHERE at < ? ORDER BY at, key", (at,)
        ).fetchall()

    def drop(self, keys: Iterable[int]) -> None:
        """Let go of decisions, and of what was told of them."""
        rows = [(key,) for key in keys]
        self._db.executemany("DELETE FROM decision WHERE key = ?", rows)
        self._db.executemany("DELETE FROM told WHERE key = ?", rows)

    def forget(self, beyond: int) -> None:
        """Let go of the oldest of too many decisions, and of what was told of none that is known.

        Args:
            beyond: How many are remembered, at least.
        """
        (decisions,) = self._db.execute("SELECT count(*) FROM decision").fetchone()
        if decisions > beyond * 1.1:
            self._db.execute(
                "DELETE FROM decision WHERE key IN (SELECT key FROM decision ORDER BY at LIMIT ?)",
                (decisions - beyond,),
            )
        (told,) = self._db.execute("SELECT count(*) FROM told").fetchone()
        if told > beyond * 1.1:
            self._db.execute(
                "DELETE FROM told WHERE number <= (SELECT max(number) FROM told) - ? "
                "AND key NOT IN (SELECT key FROM decision)",
                (beyond,),
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _refuse(self) -> None:
        raise CountedElsewhereError(
            "Another follower counted these outcomes.",
            remedy="Nothing is lost: open the file again and go on from its position.",
        )
