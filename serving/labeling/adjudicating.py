"""This module shows items on which votes differ to raters who decide between them."""

from __future__ import annotations

from typing import Any

from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Session
from headrace.labels.task import LabelTask
from serving.labeling.reading import Refusal
from serving.labeling.shown import answer_of, fields_of

_AT_A_TIME = 50


def must_adjudicate(session: Session) -> None:
    """Refuse raters who do not adjudicate.

    Raises:
        Refusal: The rater does not.
    """
    if not session.adjudicates:
        raise Refusal(
            f"'{session.rater}' does not adjudicate.",
            remedy="Ask who runs this page for a token that does.",
            reason="not_adjudicator",
        )


def conflicts_document(queue: LabelQueue, task: LabelTask) -> dict[str, Any]:
    """Return items on which votes differ, with who voted what: how many, and the first of them.

    The known answer of a gold item is not among it, and neither is a suggestion.
    """
    version = task.labels.version
    # nothing is decided any more in a batch that was closed
    batches = [
        each
        for each in queue.batches(task=task.name)
        if each.schema_version == version and each.status != "closed"
    ]
    found = [conflict for batch in batches for conflict in queue.conflicts(batch.id)]
    return {
        "version": version,
        "total": len(found),
        "conflicts": [
            {
                "item": conflict.item,
                "fields": fields_of(conflict.shown),
                "votes": [
                    {
                        "rater": vote.rater,
                        "answer": answer_of(task.labels, vote.label),
                        "skipped": vote.skipped,
                    }
                    for vote in conflict.votes
                ],
            }
            for conflict in found[:_AT_A_TIME]
        ],
    }
