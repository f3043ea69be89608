"""This module reads batches and their votes out of the queue, in an order that stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Report, Votes
from headrace.clock import current_clock
from headrace.errors import DataError, UnknownNameError
from headrace.labels.columns import Vote

if TYPE_CHECKING:
    from headrace.labels.items import Batch, VoteRecord
    from headrace.labels.queue import LabelQueue
    from headrace.labels.task import LabelTask


@dataclass(frozen=True, kw_only=True)
class Found:
    """These are the batches that votes are read of.

    Attributes:
        task: Name of the task.
        version: Of its schema.
        batches: The batches, by number.
        others: How many batches of the task were asked by another schema.
    """

    task: str
    version: str
    batches: tuple[Batch, ...]
    others: int


def read_batches(queue: LabelQueue, task: str | LabelTask, wanted: Sequence[str] | None) -> Found:
    """Return batches as they stand, after deadlines that passed and what is elsewhere.

    Args:
        queue: Where to look.
        task: The task; a name stands for the schema that was last declared.
        wanted: Ids, or beginnings of them; None for all of the task's schema.

    Raises:
        UnknownNameError: There is no such task or batch of it.
        DataError: A batch that is wanted was asked by another schema.
    """
    name = task if isinstance(task, str) else task.name
    version = (queue.task(name) if isinstance(task, str) else task).labels.version
    queue.expire(current_clock().now())
    known = sorted(queue.batches(task=name), key=lambda batch: batch.number)
    same = [batch for batch in known if batch.schema_version == version]
    chosen = same if wanted is None else [_named(each, known, name) for each in wanted]
    for batch in chosen:
        if batch.schema_version != version:
            raise DataError(
                f"Batch {batch.id} of task '{name}' was asked by version {batch.schema_version} of "
                f"its schema, which is now {version}; votes of both never mix.",
                remedy="Collect it with the task as it was, or ask for its items again.",
            )
    chosen = sorted(
        {batch.id: _as_it_stands(queue, batch) for batch in chosen}.values(),
        key=lambda batch: batch.number,
    )
    return Found(task=name, version=version, batches=tuple(chosen), others=len(known) - len(same))


def require_ended(batches: Sequence[Batch]) -> None:
    """Refuse batches that are still being answered.

    Raises:
        DataError: One is.
    """
    for batch in batches:
        if batch.status == "open":
            raise DataError(
                f"Batch {batch.id} of task '{batch.task}' is still being answered: {batch.done:,} "
                f"of {batch.items:,} items are done.",
                remedy=f"Wait, end it with `headrace label close {batch.id} --reason ...`, or "
                'take what is there: `until="now"`.',
            )


def collected(queue: LabelQueue, found: Found) -> tuple[Votes[Vote], Report]:
    """Return the votes that stand, and a report on them."""
    votes = [
        vote
        for batch in found.batches
        for vote in sorted(queue.votes(batch=batch.id), key=lambda v: (v.entity, v.rater, v.number))
    ]
    return votes_table(votes), Report.of(_document(found, votes))


def votes_table(votes: Sequence[VoteRecord]) -> Votes[Vote]:
    """Return votes as the table that all votes are."""
    columns: dict[str, list[Any]] = {
        "entity": [v.entity for v in votes],
        "rater": [v.rater for v in votes],
        "source": [v.source for v in votes],
        "label": [v.label for v in votes],
        "skipped": [v.skipped for v in votes],
        "confidence": [None] * len(votes),
        "slice": [v.slice for v in votes],
        "gold": [v.gold for v in votes],
        "as_of": [v.as_of for v in votes],
        "voted_at": [v.at for v in votes],
        "seconds": [v.seconds for v in votes],
        "suggested": [v.suggested for v in votes],
        "suggested_by": [v.suggested_by for v in votes],
        "suggestion_shown": [v.suggestion_shown for v in votes],
        "schema_version": [v.schema_version for v in votes],
        "batch": [v.batch for v in votes],
    }
    return Votes[Vote].of(_typed(columns))


def _typed(columns: dict[str, list[Any]]) -> Any:
    """Return the columns as Arrow, typed also where there are no rows or only nulls."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    types = {
        "confidence": pa.float64(),
        "seconds": pa.float64(),
        "suggestion_shown": pa.bool_(),
        "as_of": moment,
        "voted_at": moment,
    }
    return pa.table(
        {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
    )


def _document(found: Found, votes: Sequence[VoteRecord]) -> dict[str, Any]:
    seconds = [v.seconds for v in votes if v.seconds is not None]
    return {
        "passed": bool(found.batches) and all(b.status != "open" for b in found.batches),
        "task": found.task,
        "schema_version": found.version,
        "batches": [
            {
                "batch": b.id,
                "number": b.number,
                "status": b.status,
                "items": b.items,
                "done": b.done,
                "votes": b.votes,
                "skips": b.skips,
                "why": b.why,
                "reasons": _reasons(b, votes),
            }
            for b in found.batches
        ],
        "votes": sum(v.label is not None for v in votes),
        "skips": sum(v.label is None for v in votes),
        "raters": len({v.rater for v in votes}),
        "seconds": round(sum(seconds), 3),
        "other_versions": found.others,
    }


def _reasons(batch: Batch, votes: Sequence[VoteRecord]) -> dict[str, int]:
    """Return why items of a batch were skipped, and how often, the commonest first."""
    skipped = Counter(v.skipped or "" for v in votes if v.batch == batch.id and v.label is None)
    return dict(sorted(skipped.items(), key=lambda each: (-each[1], each[0])))


def _named(wanted: str, known: Sequence[Batch], task: str) -> Batch:
    fitting = [batch for batch in known if wanted and batch.id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    raise UnknownNameError.of(
        f"batch of task '{task}'" if not fitting else f"one batch of task '{task}' that begins",
        wanted,
        [batch.id for batch in known],
        remedy="List them with `headrace label batches`.",
    )


def _as_it_stands(queue: LabelQueue, batch: Batch) -> Batch:
    if batch.backend == "local" or batch.status == "closed":
        return batch
    from operators.label_studio import LabelStudio

    LabelStudio(queue=queue).sync(batch.id)
    return queue.batch(batch.id)
