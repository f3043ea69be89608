"""This module counts outcomes for Thompson sampling: each once, whatever is killed when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.decisions import Position
from headrace.decisions.frames import key_of
from serving.bandit import Counts
from serving.lane.bandit_memory import Arm, Memory
from serving.lane.bandit_outcomes import Learning, Told, in_force

REMEMBERED = 1_000_000
"""Decisions that are remembered, as many as the log finds by their id."""


class Rewards:
    """This is what one dealing of traffic has brought.

    Args:
        path: The file in which it is counted; made if there is none.
        learning: What is learned from.
        remembered: Decisions that are remembered; what is told of older ones does not count.

    Raises:
        OSError: The folder cannot be made.
        sqlite3.Error: The file cannot be opened.
    """

    def __init__(self, path: Path, learning: Learning, *, remembered: int = REMEMBERED) -> None:
        self._learning = learning
        self._remembered = remembered
        self._memory = Memory(path)
        self.position, self._newest = self._memory.read_until()

    def take(
        self,
        records: Sequence[dict[str, Any]],
        position: Position,
        *,
        now_us: int | None,
        is_caught_up: bool,
    ) -> None:
        """Count what was read, and what has come of age, in one transaction.

        Args:
            records: Decisions and outcomes, as the tail gave them from `position` on.
            position: The place in the log after all of them.
            now_us: The present moment; None takes the newest that any record speaks of, for an
                endpoint that lives through the past.
            is_caught_up: Whether nothing else has been logged until now; only then decisions come
                of age, because the outcomes of some may be in what was not read yet.

        Raises:
            CountedElsewhereError: Another follower went on from the same position.
            sqlite3.Error: It cannot be written; nothing was counted.
        """
        newest = max([self._newest, *map(_moment, records)])
        with self._memory.changing(self.position, self._newest):
            arms = self._memory.arms(self._learning.arms)
            touched = self._note(records, arms)
            if not self._learning.window_us:
                for key in touched:
                    self._recount(key, arms)
            elif is_caught_up:
                self._settle(newest if now_us is None else now_us, arms)
            if is_caught_up:
                self._memory.forget(self._remembered)
            until = position if records else self.position
            self._memory.keep(arms, until, newest)
        self.position, self._newest = until, newest

    def counts(self) -> dict[str, Counts]:
        """Return what is known of each model, in the order of the arms."""
        found = self._memory.arms(self._learning.arms)
        return {model: found[model].counts for model in self._learning.arms}

    def seen(self) -> dict[str, dict[str, int]]:
        """Return of each model how many randomised decisions it made, and how many stay unknown."""
        found = self._memory.arms(self._learning.arms)
        return {
            model: {"decided": found[model].decided, "unknown": found[model].unknown}
            for model in self._learning.arms
        }

    def close(self) -> None:
        """Close the file."""
        self._memory.close()

    def _note(self, records: Sequence[dict[str, Any]], arms: dict[str, Arm]) -> list[int]:
        """Remember what was read; return the decisions of which anything is new, each once."""
        touched: dict[int, None] = {}
        for record in records:
            key = key_of(record["id"]) - (1 << 63)  # SQLite's integers have a sign
            if record["kind"] == "decision":
                if not self._learning.is_randomised(record):
                    continue
                model = record["model"]
                arms[model].decided += self._memory.decided(key, model, record["at"])
            elif self._learning.is_reward(record):
                self._memory.heard(key, Told.of(record))
            else:
                continue
            touched[key] = None
        return list(touched)

    def _recount(self, key: int, arms: dict[str, Arm]) -> None:
        """Count the outcome of a decision that holds now, in the place of the one before."""
        found = self._memory.counted(key)
        if found is None:  # told before its decision was read, or of one that nobody learns from
            return
        model, before = found
        after = in_force(self._memory.told(key))
        if after == before:
            return
        arm = arms[model]
        if before is not None:
            arm.counts = arm.counts.without(before)
        if after is not None:
            arm.counts = arm.counts.added(after)
        self._memory.count(key, after)

    def _settle(self, now_us: int, arms: dict[str, Arm]) -> None:
        """Count decisions that have come of age, with what was known then, and let go of them."""
        window = self._learning.window_us
        of_age = self._memory.before(now_us - window)
        for key, model, at in of_age:
            value = in_force(self._memory.told(key), until=at + window)
            if value is None:
                arms[model].unknown += 1
            else:
                arms[model].counts = arms[model].counts.added(value)
        self._memory.drop(key for key, _, _ in of_age)


def _moment(record: dict[str, Any]) -> int:
    """Return the moment that a record speaks of."""
    moment: int = record["at"] if record["kind"] == "decision" else record["known_at"]
    return moment
