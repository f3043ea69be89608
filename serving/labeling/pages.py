"""This module answers browsers with documents: the list of tasks, and a page for each work."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import HeadraceError
from headrace.labels.raters import Session
from headrace.labels.schema import KINDS_OF_PAGE
from headrace.labels.task import LabelTask
from headrace.settings import Settings
from serving.labeling.adjudicating import must_adjudicate
from serving.labeling.agreement_page import agreement_page
from serving.labeling.documents import document
from serving.labeling.exports import export_file
from serving.labeling.keys import choices_with_keys
from serving.labeling.parts import Parts
from serving.labeling.progress import progress_document, share
from serving.labeling.reading import status_of
from serving.labeling.sessions import SignedOut, session_of
from serving.labeling.signing import to_sign_in

Page = Callable[[Parts, Session, Request], Response]


def page_routes(parts: Parts) -> list[Route]:
    """Return the paths of documents."""
    asked: dict[str, Page] = {
        "/": _tasks,
        "/label/{task}": _label,
        "/adjudicate/{task}": _adjudicate,
        "/agreement/{task}": agreement_page,
        "/export/{task}.{form}": export_file,
    }
    return [Route(path, _answering(parts, page), methods=["GET"]) for path, page in asked.items()]


def _answering(parts: Parts, page: Page) -> Callable[[Request], Awaitable[Response]]:
    def answering(request: Request) -> Response:
        try:
            session = session_of(request, parts.raters, writes=False)
            return page(parts, session, request)
        except SignedOut:
            return to_sign_in(request)
        except HeadraceError as error:
            return document(
                "message.html",
                status_of(error),
                title="That did not work",
                problem=error.problem,
                remedy=error.remedy,
            )

    async def in_thread(request: Request) -> Response:
        return await run_in_threadpool(answering, request)

    return in_thread


def _tasks(parts: Parts, session: Session, request: Request) -> Response:
    rows: list[dict[str, Any]] = []
    for task in parts.tasks_of(session):
        asked = parts.queue.batches(task=task.name, status="open")
        waits = [parts.queue.stranded(batch.id) for batch in asked]
        told = progress_document(parts.queue, task.name, session.rater)
        rows.append(
            {
                "task": task,
                "told": told,
                # an item that was skipped by too many is done without all of its votes
                "percent": max(
                    share(told["votes"], told["wanted"]), share(told["done"], told["items"])
                ),
                "open": bool(asked),
                "stranded": [each for each in waits if each is not None],
            }
        )
    rows.sort(key=lambda row: (not row["open"], row["task"].heading.lower()))
    return document("tasks.html", session=session, rows=rows)


def _label(parts: Parts, session: Session, request: Request) -> Response:
    task = parts.task_of(session, request.path_params["task"])
    elsewhere = _elsewhere(parts, task)
    if task.labels.kind not in KINDS_OF_PAGE:
        return document("elsewhere.html", session=session, task=task, links=elsewhere)
    item = request.query_params.get("item", "")
    setup = _setup(task, session) | {"item": int(item) if _is_number(item) else None}
    return document(
        "label.html", session=session, task=task, setup=json.dumps(setup), links=elsewhere
    )


def _adjudicate(parts: Parts, session: Session, request: Request) -> Response:
    must_adjudicate(session)
    task = parts.task_of(session, request.path_params["task"])
    if task.labels.kind not in KINDS_OF_PAGE:
        links = _elsewhere(parts, task)
        return document("elsewhere.html", session=session, task=task, links=links)
    setup = json.dumps(_setup(task, session))
    return document("adjudicate.html", session=session, task=task, setup=setup)


def _setup(task: LabelTask, session: Session) -> dict[str, Any]:
    """Return what the script has to know: of the task only what every rater may know."""
    schema = task.labels
    return {
        "task": task.name,
        "rater": session.rater,
        "version": schema.version,
        "kind": schema.kind,
        "choices": choices_with_keys(schema),
        "low": schema.low,
        "high": schema.high,
        "unit": schema.unit,
    }


def _elsewhere(parts: Parts, task: LabelTask) -> list[str]:
    """Return where in Label Studio open batches of a task are labelled."""
    batches = parts.queue.batches(task=task.name, status="open")
    told = [dict(batch.external or {}) for batch in batches if batch.backend == "labelstudio"]
    links = [_link(each, parts.of) for each in told]
    return list(dict.fromkeys(link for link in links if link))


def _link(external: dict[str, Any], of: Settings) -> str:
    url = str(external.get("url") or of.label_studio_url or "")
    return url if url.startswith(("http://", "https://")) else ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
