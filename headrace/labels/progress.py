"""This module tells how far people are with a task, without counting items or votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from headrace.clock import current_clock
from headrace.labels.declaring import task_named
from headrace.labels.tables import label_batch, label_part, label_vote

_RECENT = timedelta(minutes=10)
_SHORTEST = timedelta(minutes=1)
_MOST_RECENT = 500  # votes that a pace is taken from


@dataclass(frozen=True, kw_only=True)
class Progress:
    """This is how far people are with a task: its open batches, or else its newest.

    Attributes:
        task: Name of the task.
        batches: How many batches these are.
        items: Items in them.
        done: Items that have all their votes, or can get no more.
        votes: Votes that stand.
        skips: Skips that stand.
        wanted: Votes that make them complete.
        mine: Votes of the rater who asked that stand; 0 where nobody in particular did.
        mine_skipped: Their skips.
        mine_per_minute: Votes they gave per minute since the first that is not ten minutes old,
            over at least one minute; undone ones too.
        all_per_minute: Votes that everybody gave.
    """

    task: str
    batches: int
    items: int
    done: int
    votes: int
    skips: int
    wanted: int
    mine: int
    mine_skipped: int
    mine_per_minute: float
    all_per_minute: float


def progress_of(connection: Connection, task: str, rater: str | None) -> Progress:
    """Return how far people are.

    Raises:
        UnknownNameError: There is no such task.
    """
    counts = ("items", "done", "votes", "skips", "wanted")
    columns = [label_batch.c.id, label_batch.c.status, *(label_batch.c[name] for name in counts)]
    query = select(*columns).where(label_batch.c.task == task)
    rows = connection.execute(
        query.where(label_batch.c.status == "open").order_by(label_batch.c.number)
    ).all()
    if not rows:
        task_named(connection, task)
        rows = connection.execute(query.order_by(label_batch.c.number.desc()).limit(1)).all()
    batches = [row.id for row in rows]
    mine = _part(connection, batches, rater)
    return Progress(
        task=task,
        batches=len(rows),
        **{name: sum(getattr(row, name) for row in rows) for name in counts},
        mine=mine[0],
        mine_skipped=mine[1],
        mine_per_minute=_pace(connection, batches, rater) if rater is not None else 0.0,
        all_per_minute=_pace(connection, batches, None),
    )


def _part(connection: Connection, batches: Sequence[str], rater: str | None) -> tuple[int, int]:
    if rater is None:
        return 0, 0
    query = select(func.sum(label_part.c.votes), func.sum(label_part.c.skips)).where(
        label_part.c.batch.in_(batches), label_part.c.rater == rater
    )
    votes, skips = connection.execute(query).one()
    return int(votes or 0), int(skips or 0)


def _pace(connection: Connection, batches: Sequence[str], rater: str | None) -> float:
    now = current_clock().now()
    moments: list[datetime] = []
    for batch in batches if rater is None else [None]:
        query = select(label_vote.c.at).where(label_vote.c.sort == "vote")
        query = query.order_by(label_vote.c.number.desc()).limit(_MOST_RECENT)
        if rater is None:
            query = query.where(label_vote.c.batch == batch)
        else:
            mine = (label_vote.c.rater == rater) & label_vote.c.batch.in_(batches)
            query = query.where(mine)
        moments += connection.scalars(query)
    recent = [at for at in moments if now - at < _RECENT]
    span = max(now - min(recent, default=now), _SHORTEST)
    return round(len(recent) / (span.total_seconds() / 60), 2)
