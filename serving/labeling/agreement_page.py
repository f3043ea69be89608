"""This module shows how much raters agree, and how right they are on items that are known."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from headrace.labels.raters import Session
from serving.labeling.adjudicating import must_adjudicate
from serving.labeling.documents import document
from serving.labeling.parts import Parts


def agreement_page(parts: Parts, session: Session, request: Request) -> Response:
    """Return the page of agreement on the votes by a schema: the task's, or `?version=`.

    Raises:
        Refusal: The rater does not adjudicate.
        UnknownNameError: There is no such task or version.
    """
    must_adjudicate(session)
    from operators._agreement import agreement_of  # brings numpy, for this page alone

    task = parts.task_of(session, request.path_params["task"])
    version = request.query_params.get("version") or task.labels.version
    schema = parts.queue.schema(task.name, version)
    votes = parts.queue.votes(task=task.name, schema_version=version)
    known = [each.version for each in parts.queue.versions(task.name)]
    return document(
        "agreement.html",
        session=session,
        task=task,
        version=version,
        versions=[each for each in known if each != version],
        agreement=agreement_of(votes, schema),
    )
