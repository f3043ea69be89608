"""This module asks people for labels: it writes a batch with its items, once for each key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from headrace.clock import current_clock
from headrace.errors import DataError, ParameterError
from headrace.labels.declaring import declare
from headrace.labels.items import NewItem
from headrace.labels.tables import label_batch, label_item
from headrace.labels.task import LabelTask

_KEY = re.compile(r"[0-9a-f]{64}")
_ID_DIGITS = 16
BACKENDS = ("local", "labelstudio")


def known_batch(connection: Connection, task: LabelTask, key: str) -> str | None:
    """Return the batch that was asked for by a key; None where nobody did.

    Raises:
        DataError: It was a batch of another task, or another key begins alike.
    """
    columns = (label_batch.c.id, label_batch.c.task, label_batch.c.key)
    query = select(*columns).where(label_batch.c.id == key[:_ID_DIGITS])
    row = connection.execute(query).one_or_none()
    if row is not None and row.key != key:
        raise DataError(
            f"The key {key[:24]}… begins as that of batch '{row.id}', which goes by it.",
            remedy="Make the key with sha256: two that begin alike are not made by chance.",
        )
    if row is not None and row.task != task.name:
        raise DataError(
            f"The key {key[:12]}… stands for batch '{row.id}' of the task '{row.task}', not of "
            f"'{task.name}'.",
            remedy="Make the key of everything that is asked for, the task among it.",
        )
    return None if row is None else str(row.id)


def write_batch(
    connection: Connection,
    task: LabelTask,
    items: Sequence[NewItem],
    *,
    key: str,
    deadline: datetime | None,
    run_id: str | None,
    backend: str,
    external: Mapping[str, Any] | None,
    actor: str,
) -> str:
    """Write a batch and its items, in the order given, and return its id."""
    version = declare(connection, task, actor)
    numbers = select(func.max(label_batch.c.number)).where(label_batch.c.task == task.name)
    batch = key[:_ID_DIGITS]
    connection.execute(
        insert(label_batch).values(
            id=batch,
            task=task.name,
            number=(connection.scalar(numbers) or 0) + 1,
            schema_version=version,
            key=key,
            status="open",
            backend=backend,
            external=None if external is None else dict(external),
            terms=task.document(),
            items=len(items),
            gold=sum(item.slice == "gold" for item in items),
            wanted=len(items) * task.overlap,
            done=0,
            votes=0,
            skips=0,
            created_at=current_clock().now(),
            deadline=deadline,
            why="",
            run_id=run_id,
            actor=actor,
        )
    )
    connection.execute(insert(label_item), [_row(batch, task, item) for item in items])
    return batch


def require_key(key: str) -> None:
    """Refuse what is no key of a batch.

    Raises:
        ParameterError: It is none.
    """
    if not _KEY.fullmatch(key):
        raise ParameterError(
            f"The key of a batch cannot be {key[:80]!r}.",
            remedy="Give a sha256 of what is asked for, in 64 hexadecimal digits.",
        )


def require_terms(backend: str, deadline: datetime | None) -> None:
    """Refuse a back-end or deadline that there cannot be.

    Raises:
        ParameterError: One of them cannot be.
    """
    if backend not in BACKENDS:
        raise ParameterError(
            f"There is no back-end {backend!r} where people could label.",
            remedy="Say 'local' for the page of Headrace, or 'labelstudio'.",
        )
    if deadline is None:
        return
    if deadline.utcoffset() is None or deadline <= current_clock().now():
        raise ParameterError(
            f"The deadline {deadline.isoformat()} is no moment to come, with a zone.",
            remedy="Give an aware moment in the future, or None.",
        )


def _row(batch: str, task: LabelTask, item: NewItem) -> dict[str, Any]:
    return {
        "batch": batch,
        "entity": item.entity,
        "as_of": item.as_of,
        "shown": item.shown,
        "slice": item.slice,
        "priority": item.priority,
        "suggested": item.suggested,
        "suggested_by": item.suggested_by,
        "confidence": item.confidence,
        "gold": item.gold,
        "overlap": task.overlap,
        "votes": 0,
        "skips": 0,
        "open": True,
    }
