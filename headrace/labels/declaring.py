"""This module keeps tasks and every version of what may be answered to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, text, update

from headrace.clock import current_clock
from headrace.errors import DataError, UnknownNameError
from headrace.labels.schema import LabelSchema
from headrace.labels.tables import label_batch, label_schema, label_task
from headrace.labels.task import LabelTask
from headrace.labels.texts import is_whole

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:task, 7218462))")


@dataclass(frozen=True, kw_only=True)
class SchemaVersion:
    """This is one version of what may be answered to a task.

    Attributes:
        version: Twelve hexadecimal digits.
        number: Which version of the task it is, from 1.
        schema: What may be answered.
        at: When it was declared first.
        actor: By whom.
    """

    version: str
    number: int
    schema: LabelSchema
    at: datetime
    actor: str


def one_at_a_time(connection: Connection, task: str) -> None:
    """Have others wait who declare a task or ask for a batch of it, until the transaction ends.

    A row that is not there yet cannot be locked: two who look for it at once would both write it.
    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"task": task})


def declare(connection: Connection, task: LabelTask, actor: str) -> str:
    """Write a task down, and its schema where it is a new version; returns that version.

    Raises:
        DataError: A batch of the task is open that is answered by another version.
    """
    one_at_a_time(connection, task.name)
    version, now = task.labels.version, current_clock().now()
    known = select(label_task.c.name).where(label_task.c.name == task.name)
    row = {"document": task.document(), "schema_version": version, "changed_at": now}
    if connection.scalar(known) is None:
        first = {"name": task.name, "created_at": now, "actor": actor}
        connection.execute(insert(label_task).values(row | first))
    else:
        _refuse_change_under(connection, task, version)
        same = label_task.c.name == task.name
        connection.execute(update(label_task).where(same).values(row))
    mine = label_schema.c.task == task.name
    if version not in connection.scalars(select(label_schema.c.version).where(mine)):
        newest = connection.scalar(select(func.max(label_schema.c.number)).where(mine))
        connection.execute(
            insert(label_schema).values(
                task=task.name,
                version=version,
                number=(newest or 0) + 1,
                document=task.labels.model_dump(mode="json"),
                at=now,
                actor=actor,
            )
        )
    return version


def task_named(connection: Connection, name: str) -> LabelTask:
    """Return a task as it was declared last.

    Raises:
        UnknownNameError: There is no such task.
    """
    query = select(label_task.c.document).where(label_task.c.name == name)
    document = connection.scalar(query) if is_whole(name) else None
    if document is None:
        raise UnknownNameError.of(
            "labeling task",
            name,
            connection.scalars(select(label_task.c.name)),
            remedy="List the tasks with `headrace label tasks`; a loop's is one of them once "
            "`headrace run label_round -p loop=NAME` has asked.",
        )
    return LabelTask.model_validate(document)


def all_tasks(connection: Connection) -> list[LabelTask]:
    """Return all tasks by name."""
    query = select(label_task.c.document).order_by(label_task.c.name)
    return [LabelTask.model_validate(document) for document in connection.scalars(query)]


def versions_of(connection: Connection, name: str) -> list[SchemaVersion]:
    """Return every version of a task's schema, the first one first.

    Raises:
        UnknownNameError: There is no such task.
    """
    task_named(connection, name)
    query = select(label_schema).where(label_schema.c.task == name).order_by(label_schema.c.number)
    return [
        SchemaVersion(
            version=row.version,
            number=row.number,
            schema=LabelSchema.model_validate(row.document),
            at=row.at,
            actor=row.actor,
        )
        for row in connection.execute(query)
    ]


def schema_of(connection: Connection, name: str, version: str) -> LabelSchema:
    """Return one version of a task's schema.

    Raises:
        UnknownNameError: There is no such task or version.
    """
    found = {each.version: each.schema for each in versions_of(connection, name)}
    if version not in found:
        raise UnknownNameError.of(
            f"version of the labels of '{name}' called",
            version,
            found,
            remedy="Name a version that a batch of the task has.",
        )
    return found[version]


def _refuse_change_under(connection: Connection, task: LabelTask, version: str) -> None:
    query = (
        select(label_batch.c.id, label_batch.c.number, label_batch.c.schema_version)
        .where(label_batch.c.task == task.name, label_batch.c.status == "open")
        .where(label_batch.c.schema_version != version)
        .order_by(label_batch.c.number)
        .limit(1)
    )
    other = connection.execute(query).one_or_none()
    if other is not None:
        raise DataError(
            f"The labels of the task '{task.name}' are version {version}, but batch {other.number} "
            f"({other.id}) is open and answered by version {other.schema_version}; votes of both "
            "would mix.",
            remedy=f"Wait until it is complete, or end it: `headrace label close {other.id}`.",
        )
