"""This module reads how a labeling loop stands: which batches there are, what was answered.

It is read while a flow is planned, so that the plan says what the run will do: whether there is
enough to train on, and which round is next.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import DataError, UnknownNameError
from headrace.labels.queue import LabelQueue

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop
    from headrace.labels.items import Batch, VoteRecord


@dataclass(frozen=True, kw_only=True)
class Standing:
    """This is how a loop stands.

    Attributes:
        batches: All batches of its task, by number.
        ended: Those by the loop's schema that have ended, by number.
        open: The one that is being answered; None when none is.
    """

    batches: tuple[Batch, ...]
    ended: tuple[Batch, ...]
    open: Batch | None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """This counts what people answered.

    Attributes:
        train: Items with an answer that a model may learn from.
        random: Items with an answer by which models are judged.
        choices: How many different answers those to learn from have.
        skips: Skips, by why.
    """

    train: int
    random: int
    choices: int
    skips: Counter[str]

    def can_train(self, loop: LabelLoop) -> bool:
        """Say whether there is enough for a model, and to judge it by."""
        return self.train >= loop.train_from and self.choices >= 2 and self.random >= 1


def standing_of(loop: LabelLoop, queue: LabelQueue) -> Standing:
    """Return how a loop stands.

    Raises:
        DataError: A batch is being answered by another schema than the loop's.
    """
    batches = batches_of(loop.name, queue)
    version = loop.task.labels.version
    going = [batch for batch in batches if not has_ended(batch)]
    for batch in going:
        if batch.schema_version != version:
            raise DataError(
                f"The schema of task '{loop.name}' is now version {version}, but batch {batch.id} "
                f"is being answered by version {batch.schema_version}; votes of both never mix.",
                remedy=f"End the batch with `headrace label close {batch.id} --reason ...`, or "
                "take the change of the schema back until it is complete.",
            )
    return Standing(
        batches=batches,
        ended=tuple(b for b in batches if b.schema_version == version and has_ended(b)),
        open=going[0] if going else None,
    )


def batches_of(task: str, queue: LabelQueue) -> tuple[Batch, ...]:
    """Return the batches of a task by number; none for a task that was never asked."""
    if all(known.name != task for known in queue.tasks()):
        return ()
    return tuple(sorted(queue.batches(task=task), key=lambda batch: batch.number))


def batch_named(wanted: str) -> Batch:
    """Return a batch by its id, or a beginning of it.

    Raises:
        UnknownNameError: No batch has it, or several.
    """
    known = LabelQueue().batches()
    fitting = [batch for batch in known if wanted and batch.id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    raise UnknownNameError.of(
        "batch" if not fitting else "one batch",
        wanted,
        [batch.id for batch in known],
        remedy="List them with `headrace label batches`.",
    )


def has_ended(batch: Batch) -> bool:
    """Say whether nobody is asked any more, or will not be once the deadline is seen to."""
    late = batch.deadline is not None and batch.deadline <= current_clock().now()
    return batch.status != "open" or late


def answered(votes: Iterable[VoteRecord]) -> Answered:
    """Count what was answered, as votes of the majority would have it."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    random: set[str] = set()
    skips: Counter[str] = Counter()
    for vote in votes:
        if vote.slice == "random":
            random.add(vote.entity)
        if vote.label is None:
            skips[vote.skipped or ""] += 1
        else:
            labels[vote.entity][vote.label] += 1
    train = {entity: most.most_common(1)[0][0] for entity, most in labels.items()}
    learned = {entity: label for entity, label in train.items() if entity not in random}
    return Answered(
        train=len(learned),
        random=len(random & train.keys()),
        choices=len(set(learned.values())),
        skips=skips,
    )


def votes_of(batches: Sequence[Batch], queue: LabelQueue) -> list[VoteRecord]:
    """Return the votes that stand of some batches."""
    return [vote for batch in batches for vote in queue.votes(batch=batch.id)]
