"""This module makes the project of a batch in Label Studio, or finds it, and fills it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, ServiceError
from operators._label_studio_client import Client, MissingError
from operators._label_studio_config import (
    ITEM,
    instruction,
    labeling_config,
    takes_empty_answers,
)
from operators._label_studio_pages import pages_of
from operators._label_studio_tasks import Asked, task_of

if TYPE_CHECKING:
    from headrace.labels.items import Batch
    from headrace.labels.task import LabelTask

_AT_ONCE = 250
_PAGE = 500
_LONGEST_TITLE = 50
_ID_IN_TITLE = 12


def project_of(client: Client, batch: Batch) -> dict[str, Any]:
    """Return the project of a batch that was sent to Label Studio.

    Raises:
        DataError: It was never sent, or the project is no more, or is another batch's.
        ServiceError: Label Studio does not answer.
    """
    number = (batch.external or {}).get("project")
    if number is None:
        raise DataError(
            f"Batch '{batch.id}' of the task '{batch.task}' was never sent to Label Studio.",
            remedy="Run what asked for it again: it sends the same batch.",
        )
    try:
        project: dict[str, Any] = client.get(f"/api/projects/{number}/")
    except MissingError:
        raise DataError(
            f"The project {number} of batch '{batch.id}' was deleted in Label Studio at "
            f"{client.url}, or the token's account does not see it. The {batch.votes} votes that "
            "were fetched before are kept.",
            remedy=f"End it with `headrace label close {batch.id} --reason deleted`, and ask anew "
            "for what is missing.",
        ) from None
    if _mark(batch.id) not in str(project["description"]):
        raise DataError(
            f"The project {number} in Label Studio at {client.url} is not that of batch "
            f"'{batch.id}', which was sent to {(batch.external or {}).get('server')}.",
            remedy="Put the address to which it was sent into HEADRACE_LABEL_STUDIO_URL.",
        )
    return project


def made_project(client: Client, batch: Batch, task: LabelTask) -> dict[str, Any]:
    """Return the project of a batch, made now if nobody made it before.

    Of two that are made at once the older one is kept, and the other removed, which is empty.

    Raises:
        DataError: The project was deleted.
        ServiceError: Label Studio does not answer, or does not take it.
    """
    if batch.external and "project" in batch.external:
        return project_of(client, batch)
    found = _marked(client, batch.id)
    if not found:
        made = client.post("/api/projects/", _wanted(batch, task))
        found = _marked(client, batch.id)
        if made["id"] != found[0]["id"]:
            client.delete(f"/api/projects/{made['id']}/")
    return found[0]


def fill(
    client: Client, project: int, items: Sequence[Asked], task: LabelTask, *, batch: str
) -> int:
    """Import the items that a project has not yet, and return how many these were.

    Args:
        client: Label Studio.
        project: Number of the project.
        items: All items of the batch, in the order in which they are to be asked.
        task: The task.
        batch: Id of the batch.

    Raises:
        DataError: An item cannot be shown.
        ServiceError: Label Studio does not answer, or does not take it; what it took is not sent
            again.
    """
    tasks = [task_of(item, task, batch=batch) for item in items]  # before any is sent
    there = imported(client, project)
    missing = [each for each in tasks if each["data"][ITEM] not in there]
    for some in _pieces(missing):
        answer = client.post(f"/api/projects/{project}/import", some)
        if answer.get("task_count") != len(some):
            raise ServiceError(
                f"Label Studio took {answer.get('task_count')} of {len(some)} items into project "
                f"{project}.",
                remedy="Run what asked for the batch again: it sends what is missing.",
            )
    return len(missing)


def imported(client: Client, project: int) -> set[int]:
    """Return the numbers of the items that a project has."""
    listed = pages_of(
        client,
        "/api/tasks/",
        _PAGE,
        project=project,
        fields="task_only",
        resolve_uri="false",
    )
    return {each["data"][ITEM] for each in listed if ITEM in each["data"]}


def _wanted(batch: Batch, task: LabelTask) -> dict[str, Any]:
    after = f" {batch.number} {batch.id[:_ID_IN_TITLE]}"
    return {
        "title": f"{task.heading[: _LONGEST_TITLE - len(after)]}{after}",
        "description": f"{_mark(batch.id)} (task {batch.task}, schema {batch.schema_version})",
        "label_config": labeling_config(task),
        "expert_instruction": instruction(task.labels.guideline),
        "show_instruction": bool(task.labels.guideline),
        "maximum_annotations": task.overlap,
        "show_collab_predictions": True,
        "enable_empty_annotation": takes_empty_answers(task.labels),
        "sampling": "Sequential sampling",
        "skip_queue": "REQUEUE_FOR_OTHERS",
    }


def _marked(client: Client, batch: str) -> list[dict[str, Any]]:
    """Return the projects that carry the id of a batch, the oldest first."""
    listed = pages_of(client, "/api/projects/", _PAGE, title=batch[:_ID_IN_TITLE])
    mine = {each["id"]: each for each in listed if _mark(batch) in str(each["description"])}
    return [mine[number] for number in sorted(mine)]


def _mark(batch: str) -> str:
    return f"Headrace batch {batch}"


def _pieces(tasks: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(tasks), _AT_ONCE):
        yield tasks[begin : begin + _AT_ONCE]
