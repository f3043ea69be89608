"""This module lets functions answer a batch, through the queue, as people do through the page."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError

if TYPE_CHECKING:
    from headrace.labels.items import Batch, Claim
    from headrace.labels.queue import LabelQueue

Rater = Callable[[Mapping[str, Any]], Any]


def answer_batch(queue: LabelQueue, batch: Batch, raters: Mapping[str, Rater]) -> Batch:
    """Let raters answer a batch in turn, through the queue, until it has ended.

    Args:
        queue: Where it lies.
        batch: The batch.
        raters: By name: what each answers to what is shown; None skips. One with an attribute
            `seconds` is taken to have needed that long, any other is timed.

    Returns:
        The batch as it stands then.

    Raises:
        DataError: The raters that there are cannot complete it.
    """
    waiting = dict(raters)
    while waiting:
        for name, rater in list(waiting.items()):
            claim = queue.claim(batch.task, name)
            if claim is None:
                del waiting[name]
                continue
            _answer(queue, claim, name, rater)
    found = queue.batch(batch.id)
    if found.status == "open":
        raise DataError(
            f"Batch {found.id} of task '{found.task}' is not complete, and none of "
            f"{', '.join(raters)} is given another item: {found.done:,} of {found.items:,} items "
            "are done.",
            remedy="Give more raters, or a task with a smaller `overlap`.",
        )
    return found


def _answer(queue: LabelQueue, claim: Claim, name: str, rater: Rater) -> None:
    began = time.monotonic()
    answer = rater(claim.shown)
    seconds = getattr(rater, "seconds", None) or time.monotonic() - began
    request, ms = uuid.uuid4().hex, round(1000 * seconds)
    if answer is None:
        queue.skip(claim.lease, name, why="gave no answer", request=request, ms=ms)
    else:
        queue.vote(claim.lease, name, answer, ms=ms, request=request)
