"""This module follows the log for Thompson sampling: it reads, counts, and says which shares."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from headrace.clock import SystemClock
from headrace.decisions import Tail
from serving.bandit import dealt, posteriors
from serving.lane.bandit_notice import BanditNotice, write_bandit
from serving.lane.bandit_outcomes import Learning
from serving.lane.bandit_rewards import Rewards
from serving.lane.table import LaneTable

_BATCH = 2000


class BanditFollower:
    """This learns from the outcomes of one dealing of traffic.

    Args:
        table: The routing table.
        learning: What is learned from.

    Raises:
        HeadraceError: The log cannot be read.
        OSError: The folder cannot be written.
        sqlite3.Error: The counts cannot be read.
    """

    def __init__(self, table: LaneTable, learning: Learning) -> None:
        self._table = table
        self._learning = learning
        self.rewards = Rewards(rewards_file(table.log, learning.salt), learning)
        self._tail = Tail.open(
            table.log, after=self.rewards.position, kinds=("decision", "outcome")
        )

    def step(self) -> bool:
        """Count some of what was logged since; returns whether that is all there is.

        Raises:
            CountedElsewhereError: Another follower does this; begin anew.
            HeadraceError: The log cannot be read.
            sqlite3.Error: The counts cannot be written.
        """
        records, position = self._tail.poll_all(_BATCH)
        is_all = len(records) < _BATCH
        is_live = self._table.clock == "live"
        now = SystemClock().now_us() if is_live else None
        self.rewards.take(records, position, now_us=now, is_caught_up=is_all)
        return is_all

    def say(self, generation: int) -> BanditNotice:
        """Work out the shares, and leave them for the serving host.

        Args:
            generation: The table that is followed now.

        Raises:
            OSError: The notice cannot be written.
        """
        notice = self.wanted(generation)
        write_bandit(self._table.notices, self._table.endpoint, notice)
        return notice

    def wanted(self, generation: int) -> BanditNotice:
        """Return the shares that the outcomes until now ask for."""
        bandit, salt = self._learning.bandit, self._learning.salt
        counts = self.rewards.counts()
        believed = posteriors(counts, direction=bandit.direction, salt=salt)
        shares = dealt({m: each.best for m, each in believed.items()}, floor=bandit.floor)
        seen = self.rewards.seen()
        trace: dict[str, Any] = {
            "design": "thompson",
            "salt": salt,
            "bandit": asdict(bandit),
            "counts": {m: asdict(each) | seen[m] for m, each in counts.items()},
            "posteriors": {m: asdict(each) for m, each in believed.items()},
            "shares": shares,
        }
        return BanditNotice(generation=generation, salt=salt, shares=shares, trace=trace)

    def close(self) -> None:
        """Close the files."""
        self._tail.close()
        self.rewards.close()


def rewards_file(folder: Path, salt: str) -> Path:
    """Return the file in which a dealing's outcomes are counted, in the folder of the log."""
    return folder / "cursors" / f"bandit-{salt}.db"
