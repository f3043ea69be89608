"""This module gives the votes of a task out as a file, to raters who adjudicate."""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import UnknownNameError
from headrace.labels.raters import Session
from serving.labeling.adjudicating import must_adjudicate
from serving.labeling.export import CONTENT_TYPES, Form, exported
from serving.labeling.parts import Parts


def export_file(parts: Parts, session: Session, request: Request) -> Response:
    """Return the votes that stand, of all batches or, with `?batch=`, of one.

    Raises:
        Refusal: The rater does not adjudicate.
        UnknownNameError: There is no such form, task, or batch of this task.
    """
    must_adjudicate(session)
    task = parts.task_of(session, request.path_params["task"])
    form: Form | None = next((f for f in get_args(Form) if f == request.path_params["form"]), None)
    if form is None:
        raise UnknownNameError.of(
            "form of export",
            request.path_params["form"],
            get_args(Form),
            remedy="Choose one of the forms on the page of agreement.",
        )
    batch = request.query_params.get("batch") or None
    known = [each.id for each in parts.queue.batches(task=task.name)]
    if batch is not None and batch not in known:
        raise UnknownNameError(
            f"There is no batch '{batch}' of the task '{task.name}'.",
            remedy="Leave ?batch= out for the votes of all batches.",
        )
    votes = parts.queue.votes(task=task.name, batch=batch)
    name = f"{task.name}{f'-{batch}' if batch else ''}-votes.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(exported(votes, form), headers=headers, media_type=CONTENT_TYPES[form])
