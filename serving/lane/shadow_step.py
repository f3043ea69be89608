"""This module scores the decisions of one experiment, after they were answered, step by step.

It reads the decision log behind the lane instead of being called by it: the log is its queue. So a
challenger that is slow, fails or dies can neither delay nor change an answer, and one that was
started again goes on where it was. It is bounded: too far behind, it leaves decisions out and
counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.decisions import Position, Tail, load_cursor, save_cursor
from headrace.decisions.log_writer import LogWriter
from serving.lane.guard_counts import GuardTally
from serving.lane.loaded import Loaded
from serving.lane.loading import load_model
from serving.lane.notices import ShadowFigures
from serving.lane.shadow_reading import Alike, Members
from serving.lane.shadow_scoring import Said, shadow_records
from serving.lane.table import Compared, LaneTable

MOST_BEHIND = 64 << 20
"""Bytes of the log, about a hundred thousand decisions, after which decisions are left out."""

# So few at once that their objects stay in the processor's cache and die young, which halves what
# reading costs; so many to a step that what it costs to write it down does not matter.
_PART, _MOST = 100, 2000


@dataclass(frozen=True, kw_only=True)
class _Step:
    """This is what a step read and scored, to be written down.

    Args:
        read: Decisions that were read.
        said: By the challenger.
        mirrored: By the champion, of what the challenger answered.
        dropped: Decisions that were passed over before.
        position: The place in the log up to which this is.
    """

    read: int
    said: list[Said]
    mirrored: list[Said]
    dropped: int
    position: Position

    @property
    def records(self) -> list[dict[str, Any]]:
        """What goes into the log."""
        return [record for said in (*self.said, *self.mirrored) for record in said.records]


class Shadow:
    """This scores the decisions of one experiment: with the challenger, or with the champion.

    A challenger says what it would have answered where another model did; where it answered itself,
    the champion says it. So there are two scores of every decision, whoever answered.

    Args:
        table: The routing table.
        rival: The challenger, and the experiment.
        log: Where scores go; others may write there too.
        most_behind: Bytes of the log that it may be behind.
        figures: What it counted until now, if it did.
        tally: Counts its scores for guardrails; nobody by default.

    Raises:
        HeadraceError: The challenger cannot be loaded, or the log cannot be read.
    """

    def __init__(
        self,
        table: LaneTable,
        rival: Compared,
        log: LogWriter,
        *,
        most_behind: int = MOST_BEHIND,
        figures: ShadowFigures | None = None,
        tally: GuardTally | None = None,
    ) -> None:
        self._folder = table.log
        self._experiment = rival.experiment
        self._members = Members(rival.experiment)
        self._rival = load_model(rival.model)
        self._served_champion = table.champion
        self._champion: Loaded | None = None
        self._log = log
        self._most_behind = most_behind
        self._cursor = cursor_of(rival.experiment)
        self._tail = unread(table.log, rival.experiment)
        self._unsaved: _Step | None = None
        self._is_scoring = False
        self._tally = tally
        self.figures = figures or ShadowFigures(model=rival.model.ref, experiment=rival.experiment)

    def step(self, *, still: Callable[[], bool] = lambda: True) -> int:
        """Score what was decided since the last step, some of it; returns how many were read.

        Args:
            still: Is asked before anything is written; where it says no, nothing is.

        Raises:
            LogWriteError: The scores cannot be written; the next step tries the same again.
            OSError: It cannot be kept how far it came; likewise, and the view knows them as one.
        """
        if self._unsaved is None:
            try:
                self._unsaved = self._score_some()
            except BaseException:  # what was read of it is read again
                self._tail.close()
                self._tail = unread(self._folder, self._experiment)
                raise
        found = self._unsaved
        if not still():
            return 0
        records = found.records
        if records:
            self._log.append(records)
        if found.read:
            save_cursor(self._folder, self._cursor, found.position)
            self._is_scoring = bool(records)
        self._unsaved = None
        self._count(found.said)
        told = self.figures
        self.figures = replace(
            told,
            scored=told.scored + sum(said.scored for said in found.said),
            failed=told.failed + sum(said.failed for said in found.said),
            mirrored=told.mirrored + sum(said.scored for said in found.mirrored),
            dropped=told.dropped + found.dropped,
            # whoever got less than was asked for has read all
            behind=self.behind() if found.read >= _MOST else 0,
            message="",
        )
        return found.read

    def behind(self) -> int:
        """Return how many bytes of the log were not read yet, of whatever kind."""
        read = self._tail.position.offsets
        sizes = {}
        for file in (self._folder / "segments").glob("*.log"):
            try:
                sizes[file.stem] = file.stat().st_size
            except FileNotFoundError:  # compacted and removed
                continue
        return sum(max(0, size - read.get(name, 0)) for name, size in sizes.items())

    def close(self) -> None:
        """Close the files."""
        self._tail.close()

    def _score_some(self) -> _Step:
        """Read decisions, part by part, and score each part."""
        read = dropped = 0
        said: list[Said] = []
        mirrored: list[Said] = []
        # what is read before the first decision of the experiment is history, not a queue
        if self.figures.behind > self._most_behind and self._is_scoring:
            dropped = self._tail.skip_to_newest()
        position = self._tail.position
        while read < _MOST:
            payloads, rows, position = self._tail.poll_payloads(_PART)
            for alike in self._members.among(payloads, rows):
                self._score(alike, said, mirrored)
            count = len(payloads) + len(rows)
            read += count
            if count < _PART:
                break
        return _Step(read=read, said=said, mirrored=mirrored, dropped=dropped, position=position)

    def _count(self, said: Iterable[Said]) -> None:
        """Count for guardrails what is logged; scores of one call took the same time each."""
        if self._tally is not None:
            for each in said:
                if not each.is_new:  # the lane has counted these: a row that fails, fails again
                    continue
                self._tally.answered(each.scored - each.failed, each.seconds)
                self._tally.failed(each.failed)

    def _score(self, alike: Alike, said: list[Said], mirrored: list[Said]) -> None:
        """Add what the challenger says of decisions, or the champion of those it answered."""
        names = self._tail.names(alike.columns)
        if alike.answered != self._rival.ref:
            model, answers = self._rival, said
        else:
            if self._champion is None:
                self._champion = load_model(self._served_champion)
            model, answers = self._champion, mirrored
        found = shadow_records(alike, model, experiment=self._experiment, names=names)
        answers.append(replace(found, is_new=alike.failed != model.ref))


def unread(folder: Path, experiment: str) -> Tail:
    """Return a reader of the decisions of an experiment that its shadow has not scored yet.

    Args:
        folder: The folder of the endpoint's log.
        experiment: Id of the comparison.
    """
    cursor = load_cursor(folder, cursor_of(experiment))
    return Tail.open(folder, after=cursor, holding=b'"%s"' % experiment.encode())


def cursor_of(experiment: str) -> str:
    """Return the name under which an experiment's shadow keeps how far it came."""
    return f"shadow-{experiment}"
