"""This operator collects what people answered: the votes that stand, as a table."""

from __future__ import annotations

from typing import Literal

from headrace import Report, Votes, operator
from headrace.labels.columns import Vote
from headrace.labels.task import LabelTask


@operator(always=True, named_by="task", cpu=0.5)
def collect_labels(
    requests: list[Report] | None = None,
    *,
    task: str | LabelTask,
    batches: tuple[str, ...] | None = None,
    until: Literal["complete", "now"] = "complete",
) -> tuple[Votes[Vote], Report]:
    """Collect the votes that people gave; the same votes make the same table.

    Votes that were undone or corrected are not among them, and votes by another version of the
    task's schema never are. The queue is read each time; what follows is reused when nothing was
    added.

    Args:
        requests: What `request_labels` said of batches: they are the ones that are read, and the
            votes descend from them in lineage. None goes by `batches`.
        task: The task, or its name. A task that is given counts with the schema that it has, a
            name with the schema that was last asked with.
        batches: Ids of batches, or a beginning of one; None for every batch of the task and its
            schema.
        until: "complete" refuses while a batch is still being answered; "now" takes what is there.

    Returns:
        A row a vote, by batch, item and rater, skips included (`label` is null there). The report
        has for each batch its `status`, `done` of `items`, `votes` and `skips`; the sums of them,
        `raters`, people's `seconds`, `other_versions` (batches that were left out), and `passed`,
        which says whether every batch has ended.

    Raises:
        UnknownNameError: There is no such task or batch.
        DataError: A batch is still being answered, or was asked by another schema than the task's.
        ServiceError: Label Studio does not answer.
    """
    from headrace.labels.queue import LabelQueue
    from operators._label_collecting import collected, read_batches, require_ended

    queue = LabelQueue()
    wanted = batches
    if requests:
        wanted = tuple(dict.fromkeys(str(each.document["batch"]) for each in requests))
    found = read_batches(queue, task, wanted)
    if until == "complete":
        require_ended(found.batches)
    return collected(queue, found)
