"""This module scores with a champion that is guarded, and counts how that went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import numpy as np

from serving.lane.guard_counts import GuardTally

Score = Callable[[Sequence[Sequence[Any]]], Sequence[float]]


class WholeCall:
    """This is one call whose scores belong together, such as those of a list."""

    def __init__(self) -> None:
        self.scores: Any = ()


def guarded(score: Score, tally: GuardTally | None, now: Callable[[], float]) -> Score:
    """Return what scores rows and counts how that went; `score` itself if unguarded.

    Several rows that fail together are not counted: they are asked again, each alone.

    Args:
        score: Scores rows.
        tally: Where is counted; None for nowhere.
        now: Gives monotonic seconds.
    """
    if tally is None:
        return score

    def counted(rows: Sequence[Sequence[Any]]) -> Sequence[float]:
        begun = now()
        try:
            scores = score(rows)
        except Exception:
            if len(rows) == 1:
                tally.failed()
                tally.called(now() - begun)
            raise
        count_scores(tally, scores, now() - begun)
        return scores

    return counted


def count_scores(tally: GuardTally, scores: Sequence[float], seconds: float) -> None:
    """Count a call that came back; a score that is no number is a failure."""
    # a sum is no number where one of them is none; each is looked at only then
    if isfinite(sum(scores)):
        tally.answered(len(scores), seconds)
        return
    bad = sum(not isfinite(score) for score in scores)
    tally.answered(len(scores) - bad, seconds)
    tally.failed(bad)


@contextmanager
def whole_call(
    tally: GuardTally | None, now: Callable[[], float], *, before: float = 0.0
) -> Iterator[WholeCall]:
    """Count what is done inside as one answer; it failed if it raises or a score is no number.

    Args:
        tally: Where is counted; None for nowhere.
        now: Gives monotonic seconds.
        before: Seconds that it took already.
    """
    call, begun = WholeCall(), now() - before
    try:
        yield call
    except Exception:
        if tally is not None:
            tally.failed()
            tally.called(now() - begun)
        raise
    if tally is not None:
        if np.isfinite(call.scores).all():
            tally.came(1)
        else:
            tally.failed()
        tally.called(now() - begun)
