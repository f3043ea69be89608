"""This module says how far a task is, for the page; the queue counts."""

from __future__ import annotations

from typing import Any

from headrace.labels.queue import LabelQueue


def progress_document(queue: LabelQueue, task: str, rater: str) -> dict[str, Any]:
    """Return how far a task and a rater are, and how fast both have been for ten minutes."""
    told = queue.progress(task, rater)
    return {
        "items": told.items,
        "done": told.done,
        "votes": told.votes,
        "wanted": told.wanted,
        "mine": told.mine,
        "mine_per_minute": told.mine_per_minute,
        "all_per_minute": told.all_per_minute,
    }


def waits_in_vain(queue: LabelQueue, task: str) -> int:
    """Return how many items of a task's open batches nobody is left to answer."""
    found = [queue.stranded(batch.id) for batch in queue.batches(task, status="open")]
    return sum(each.items for each in found if each is not None)


def share(done: int, wanted: int) -> int:
    """Return what is done in whole percent; 100 only where all of it is."""
    if wanted <= 0:
        return 0
    return min(100 if done >= wanted else 99, round(100 * done / wanted))
