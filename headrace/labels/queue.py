"""This module is the queue of what people are to label: batches, leases and votes.

Each method is one transaction in the shared database. A vote that was acknowledged is on the disk;
one that is refused left nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from headrace.clock import current_clock
from headrace.labels import (
    adjudicating,
    asked,
    batches,
    claiming,
    declaring,
    foreign,
    notices,
    progress,
    requesting,
    standing,
    standstill,
    undoing,
    voting,
)
from headrace.labels.adjudicating import Conflict
from headrace.labels.batches import QueueItem
from headrace.labels.declaring import SchemaVersion
from headrace.labels.foreign import ForeignVote, Recorded
from headrace.labels.items import (
    Batch,
    BatchStatus,
    Claim,
    NewItem,
    Receipt,
    Source,
    VoteRecord,
)
from headrace.labels.notices import Notice
from headrace.labels.progress import Progress
from headrace.labels.refusals import Refused
from headrace.labels.schema import LabelSchema
from headrace.labels.standstill import Stranded
from headrace.labels.task import LabelTask
from headrace.labels.terms import TermsOfBatches
from headrace.labels.voting import Given
from headrace.lineage.database import Database
from headrace.settings import settings

__all__ = [
    "Conflict",
    "ForeignVote",
    "LabelQueue",
    "Notice",
    "Progress",
    "QueueItem",
    "Recorded",
    "Refused",
    "SchemaVersion",
]


class LabelQueue:
    """This is what people are asked to label and what they answered, safe among processes.

    A task or batch that there is not is an `UnknownNameError`, with the nearest that there are.

    Args:
        database: Where it is kept; the shared database of the settings by default.
    """

    def __init__(self, database: Database | None = None) -> None:
        self._database = database or Database(settings().database_url)
        self._terms = TermsOfBatches()

    def declare(self, task: LabelTask, *, actor: str | None = None) -> str:
        """Write a task down and return the version of its labels.

        Args:
            task: The task; a known one is replaced, for batches to come.
            actor: Who declares it; that of the settings by default.

        Raises:
            DataError: A batch of the task is open that is answered by other labels.
        """
        with self._writing() as connection:
            return declaring.declare(connection, task, actor or settings().actor)

    def task(self, name: str) -> LabelTask:
        """Return a task as it was declared last."""
        with self._database.reading() as connection:
            return declaring.task_named(connection, name)

    def tasks(self) -> list[LabelTask]:
        """Return all tasks by name."""
        with self._database.reading() as connection:
            return declaring.all_tasks(connection)

    def schema(self, task: str, version: str) -> LabelSchema:
        """Return one version of what may be answered to a task."""
        with self._database.reading() as connection:
            return declaring.schema_of(connection, task, version)

    def versions(self, task: str) -> list[SchemaVersion]:
        """Return every version of what may be answered to a task, the first one first."""
        with self._database.reading() as connection:
            return declaring.versions_of(connection, task)

    # --- batches ---

    def request(
        self,
        task: LabelTask,
        items: Sequence[NewItem],
        *,
        key: str,
        deadline: datetime | None = None,
        run_id: str | None = None,
        backend: str = "local",
        external: Mapping[str, Any] | None = None,
        actor: str | None = None,
    ) -> Batch:
        """Ask people for labels of items; asking again by the same key gives the same batch.

        Items are asked for by priority, then in the order given; gold ones are spread among them.

        Args:
            task: What is asked; it is declared.
            items: What is asked about, each entity once.
            key: A sha256, in hex, of all that is asked for.
            deadline: When the batch is closed whatever is missing, aware; None for never.
            run_id: The flow run that asks.
            backend: Where people answer: "local" or "labelstudio".
            external: What another back-end calls it.
            actor: Who asks; that of the settings by default.

        Raises:
            DataError: There is no item, one is there twice or cannot be asked for, or a batch of
                the task is open that is answered by other labels. Nothing was written.
            DefinitionError: The page cannot ask for such labels.
            ParameterError: Key, back-end or deadline cannot be.
        """
        requesting.require_key(key)
        with self._database.reading() as connection:
            known = requesting.known_batch(connection, task, key)
            if known is not None:
                return batches.batch_with(connection, known)
        requesting.require_terms(backend, deadline)
        ordered = asked.in_order(asked.checked(task, items, backend=backend), key)
        with self._writing() as connection:
            declaring.one_at_a_time(connection, task.name)
            batch = requesting.known_batch(connection, task, key) or requesting.write_batch(
                connection,
                task,
                ordered,
                key=key,
                deadline=deadline,
                run_id=run_id,
                backend=backend,
                external=external,
                actor=actor or settings().actor,
            )
            return batches.batch_with(connection, batch)

    def batch(self, batch: str) -> Batch:
        """Return a batch by its id."""
        with self._database.reading() as connection:
            return batches.batch_with(connection, batch)

    def batches(self, task: str | None = None, status: BatchStatus | None = None) -> list[Batch]:
        """Return batches, the newest first, of one task or all, in one status or any."""
        with self._database.reading() as connection:
            return batches.batches_of(connection, task, status)

    def items(self, batch: str) -> list[QueueItem]:
        """Return the items of a batch, in the order in which they are asked."""
        with self._database.reading() as connection:
            return batches.items_of(connection, self._terms, batch)

    def terms(self, batch: str) -> LabelTask:
        """Return the task as it was when a batch was asked for."""
        with self._database.reading() as connection:
            return self._terms.of(connection, batch)

    def refer(self, batch: str, external: Mapping[str, Any]) -> Batch:
        """Write down what another back-end calls a batch, in place of what was there."""
        with self._writing() as connection:
            batches.refer(connection, batch, external)
            return batches.batch_with(connection, batch)

    def close(self, batch: str, *, why: str, actor: str | None = None) -> Batch:
        """End a batch: votes that stand count, and none is taken or undone any more.

        One that was closed stays as it is.

        Args:
            batch: Its id.
            why: Why; raters who come too late read it.
            actor: Who ends it; that of the settings by default.

        Raises:
            DataError: Nothing is said of why.
        """
        with self._writing() as connection:
            row = batches.locked(connection, batch)
            batches.close_locked(connection, row, why, actor or settings().actor)
            return batches.batch_with(connection, batch)

    def expire(self, now: datetime | None = None) -> list[Batch]:
        """Close the open batches whose deadline has passed, and return them.

        In the others what nobody is left to answer is set aside; see `stranded`.
        """
        with self._database.reading() as connection:
            late = batches.overdue(connection, now or current_clock().now())
            changed = standstill.unsettled(connection, self._terms)
        closed: list[Batch] = []
        # each by itself: whoever claims locks the batches of a task in another order
        for batch in late:
            with self._writing() as connection:
                closed += batches.close_overdue(connection, batch)
        for batch in changed:
            with self._writing() as connection:
                standstill.settle(connection, self._terms, batch)
        return closed

    def stranded(self, batch: str) -> Stranded | None:
        """Return what of a batch the raters there are cannot complete; None where they can."""
        with self._database.reading() as connection:
            row = batches.batch_with(connection, batch)
            return standstill.stranded(connection, self._terms, row)

    # --- raters ---

    def claim(
        self, task: str, rater: str, *, item: int | None = None, ahead: int = 0
    ) -> Claim | None:
        """Return what a rater is to answer: what they hold already, else the next item.

        Args:
            task: Name of the task.
            rater: Who asks.
            item: This item, and no other.
            ahead: How many of those that they hold are passed over, to fetch one in advance.

        Returns:
            The item, shown as the task says; None where there is none for this rater now.

        Raises:
            Refused: The rater may not answer; or the item that was asked for cannot be given.
        """
        with self._database.writing() as connection:  # a lease may be lost with the power
            if item is not None:
                return claiming.claim_item(connection, self._terms, task, rater, item)
            return claiming.claim(connection, self._terms, task, rater, ahead=ahead)

    def vote(
        self,
        lease: str,
        rater: str,
        answer: Any,
        *,
        ms: int | None = None,
        request: str,
        source: Source = "person",
    ) -> Receipt:
        """Take a rater's answer to the item that they hold; what is returned is on the disk.

        Args:
            lease: Of the claim.
            rater: Who answers.
            answer: What `LabelSchema.read` takes.
            ms: How long it took, in milliseconds; None where nobody measured it.
            request: An id of this answer; sent again, it gives the same receipt.
            source: What the rater is: "person", "rule" or "model".

        Raises:
            DataError: The answer is none to the schema; the item is still held.
            Refused: The lease is not live, or not this rater's; or the batch was ended.
        """
        given = Given(
            lease=lease, rater=rater, request=request, answer=answer, ms=ms, source=source
        )
        with self._writing() as connection:
            return voting.take(connection, self._terms, given)

    def skip(
        self, lease: str, rater: str, *, why: str, request: str, ms: int | None = None
    ) -> Receipt:
        """Take down that a rater gives no answer to the item that they hold; they see it no more.

        Args:
            lease: Of the claim.
            rater: Who skips.
            why: Why; kept.
            request: An id of this skip; sent again, it gives the same receipt.
            ms: How long it took, in milliseconds; None where nobody measured it.

        Raises:
            DataError: Nothing is said of why; the item is still held.
            Refused: The lease is not live, or not this rater's; or the batch was ended.
        """
        given = Given(lease=lease, rater=rater, request=request, why=why, ms=ms)
        with self._writing() as connection:
            return voting.take(connection, self._terms, given)

    def undo(self, rater: str, task: str, *, request: str) -> Claim:
        """Take a rater's last vote or skip back, and give them its item again.

        A batch that was complete is open again, and is told of again when it is complete.

        Args:
            rater: Whose.
            task: Name of the task.
            request: An id of this wish; sent again, nothing more is undone.

        Raises:
            Refused: There is nothing to undo, or its batch was closed.
        """
        with self._writing() as connection:
            return undoing.undo(connection, self._terms, rater, task, request=request)

    def adjudicate(self, item: int, rater: str, answer: Any, *, request: str) -> Receipt:
        """Say what an item is, whatever raters voted; a later word replaces an earlier one.

        Args:
            item: Its number.
            rater: Who says so; a rater who settles ties.
            answer: What `LabelSchema.read` takes.
            request: An id of this answer; sent again, it gives the same receipt.

        Raises:
            DataError: The answer is none to the schema.
            Refused: The rater may not, nobody answered the item, or its batch was closed.
        """
        with self._writing() as connection:
            return adjudicating.adjudicate(
                connection, self._terms, item, rater, answer, request=request
            )

    def conflicts(self, batch: str) -> list[Conflict]:
        """Return the items of a batch that raters differ about and nobody has settled."""
        with self._database.reading() as connection:
            return adjudicating.conflicts_of(connection, self._terms, batch)

    # --- what came of it ---

    def votes(
        self,
        batch: str | None = None,
        task: str | None = None,
        schema_version: str | None = None,
    ) -> list[VoteRecord]:
        """Return the votes and skips that stand, in the order in which they were taken."""
        with self._database.reading() as connection:
            return standing.standing(
                connection, batch=batch, task=task, schema_version=schema_version
            )

    def record(
        self, batch: str, votes: Sequence[ForeignVote], *, source: Source = "person"
    ) -> Recorded:
        """Take over what people answered in another back-end: all of it or, refused, nothing.

        Raises:
            ParameterError: It is answered on our own page, or not by people.
            DataError: An item is not of the batch, or an answer is none to its schema.
            Refused: The batch was closed.
        """
        with self._writing() as connection:
            return foreign.record(connection, self._terms, batch, votes, source=source)

    def progress(self, task: str, rater: str | None = None) -> Progress:
        """Return how far people are with a task, and one rater where one asks."""
        with self._database.reading() as connection:
            return progress.progress_of(connection, task, rater)

    def seconds(self, task: str) -> list[float]:
        """Return how long each vote and skip of a task took, in seconds, undone ones too."""
        with self._database.reading() as connection:
            return standing.seconds_of(connection, task)

    def notices(self, limit: int = 100) -> list[Notice]:
        """Return what is still to be told, the oldest first."""
        with self._database.reading() as connection:
            return notices.waiting(connection, limit)

    def told(self, notice: str) -> None:
        """Write down that a notice was told; doing it twice changes nothing."""
        with self._writing() as connection:
            notices.mark_told(connection, notice)

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._database.writing(durable=True)
