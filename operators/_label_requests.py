"""This module says what a request for labels is: which items, known by which key, told how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Report
from headrace.content import document_digest
from headrace.errors import DataError
from headrace.labels.addresses import task_url
from headrace.settings import settings
from operators._label_gold import gold_drafts, mixed
from operators._label_items import drafts_of

if TYPE_CHECKING:
    from headrace.artifacts import Tabular
    from headrace.labels.items import Batch, NewItem
    from headrace.labels.queue import LabelQueue
    from headrace.labels.task import LabelTask


def items_to_ask(
    selected: Tabular[Any], gold: Tabular[Any] | None, task: LabelTask, *, now: datetime
) -> tuple[list[NewItem], bool]:
    """Return the items of a batch, gold among them, and whether rows have times of their own.

    Raises:
        DataError: There are no rows, or one cannot be asked for.
    """
    drafts = drafts_of(selected, task, now=now)
    if not drafts.items:
        raise DataError(
            f"Task '{task.name}' is given no rows to ask for.",
            remedy="Select some first, or ask only `when` there are any.",
        )
    known = None if gold is None else gold_drafts(gold, task, now=now)
    if known is None:
        return list(drafts.items), drafts.timed
    items = mixed(drafts.items, known.items, share=task.gold_share)
    return items, drafts.timed and known.timed


def request_key(
    task: LabelTask, items: Sequence[NewItem], *, timed: bool, backend: str, once: str
) -> str:
    """Return 64 hexadecimal digits that are the same for the same request.

    Args:
        task: What is asked.
        items: Of what.
        timed: Whether the moments of the items are their rows'. Those of the clock do not count.
        backend: Where.
        once: A name that stands for the request whatever its items are; empty for their content.
    """
    if once:
        return document_digest({"task": task.name, "once": once})
    return document_digest(
        {
            "task": task.document(),
            "schema": task.labels.version,
            "backend": backend,
            # the order of rows says nothing: raters are asked by priority
            "items": [
                _said(item, timed=timed) for item in sorted(items, key=lambda each: each.entity)
            ],
        }
    )


def deadline_after(now: datetime, hours: float | None) -> datetime | None:
    """Return the moment some hours later; None for never."""
    return None if hours is None else now + timedelta(hours=hours)


def request_report(queue: LabelQueue, batch: Batch) -> Report:
    """Return what was asked for, of what the queue knows: the same for a batch at any time.

    Lineage hangs on that: whoever reads the votes of a batch is given this report, and so the votes
    descend from what was asked.
    """
    items = queue.items(batch.id)
    terms = queue.terms(batch.id)
    document = {
        "passed": True,
        "batch": batch.id,
        "task": batch.task,
        "number": batch.number,
        "schema_version": batch.schema_version,
        "backend": batch.backend,
        "url": _address(batch),
        "items": batch.items,
        "gold": batch.gold,
        "slices": dict(sorted(Counter(item.slice for item in items).items())),
        "suggested": sum(item.suggested is not None for item in items),
        "overlap": terms.overlap,
        "wanted": batch.wanted,
        "digest": document_digest([_said(item, timed=True) for item in items]),
        "deadline": None if batch.deadline is None else batch.deadline.isoformat(),
    }
    return Report.of(document)


def _address(batch: Batch) -> str:
    elsewhere = (batch.external or {}).get("url")
    return str(elsewhere) if elsewhere else task_url(settings(), batch.task)


def _said(item: Any, *, timed: bool) -> dict[str, Any]:
    """Return an item as JSON-like data, for digests."""
    return {
        "entity": item.entity,
        "as_of": item.as_of.isoformat() if timed else None,
        "shown": dict(item.shown),
        "slice": item.slice,
        "priority": item.priority,
        "suggested": item.suggested,
        "suggested_by": item.suggested_by,
        "confidence": item.confidence,
        "gold": item.gold,
    }
