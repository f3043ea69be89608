"""This module answers the page's script: what is asked is JSON, what is told is JSON.

Each request is one call to the queue, in a thread: the database may wait for the disk, and other
raters should not wait with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace.errors import HeadraceError
from headrace.labels.items import Receipt
from headrace.labels.raters import Session
from serving.labeling.adjudicating import conflicts_document, must_adjudicate
from serving.labeling.parts import Parts
from serving.labeling.progress import progress_document, waits_in_vain
from serving.labeling.reading import (
    AdjudicationBody,
    NextBody,
    SkipBody,
    UndoBody,
    VoteBody,
    answer,
    body_of,
    read,
    refused,
)
from serving.labeling.sessions import session_of
from serving.labeling.shown import claim_document

Work = Callable[[Parts, Session, dict[str, str], bytes], Any]


def api_routes(parts: Parts) -> list[Route]:
    """Return the paths below `/api`."""
    asked: list[tuple[str, str, Work]] = [
        ("GET", "/api/session", _session),
        ("GET", "/api/tasks/{task}/progress", _progress),
        ("POST", "/api/tasks/{task}/next", _next),
        ("POST", "/api/tasks/{task}/undo", _undo),
        ("POST", "/api/votes", _vote),
        ("POST", "/api/skips", _skip),
        ("GET", "/api/tasks/{task}/conflicts", _conflicts),
        ("POST", "/api/adjudications", _adjudicate),
    ]
    return [
        Route(path, _answering(parts, work, writes=method == "POST"), methods=[method])
        for method, path, work in asked
    ]


def _answering(
    parts: Parts, work: Work, *, writes: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def answering(request: Request) -> Response:
        try:
            body = await body_of(request)
            return await run_in_threadpool(done, request, body)
        except HeadraceError as error:
            return refused(error)

    def done(request: Request, body: bytes) -> Response:
        session = session_of(request, parts.raters, writes=writes)
        return answer(work(parts, session, dict(request.path_params), body))

    return answering


def _session(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    return {"rater": session.rater, "adjudicates": session.adjudicates, "csrf": session.csrf}


def _progress(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    task = parts.task_of(session, path["task"])
    return progress_document(parts.queue, task.name, session.rater)


def _next(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    asked = read(NextBody, body)
    task = parts.task_of(session, path["task"])
    claim = parts.queue.claim(task.name, session.rater, item=asked.item, ahead=asked.ahead)
    if claim is None:
        nobody = waits_in_vain(parts.queue, task.name)
        return {"version": task.labels.version, "claim": None, "nobody_left": nobody}
    return {"version": task.labels.version, "claim": claim_document(claim, task.labels)}


def _undo(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    asked = read(UndoBody, body)
    task = parts.task_of(session, path["task"])
    claim = parts.queue.undo(session.rater, task.name, request=_own(session, asked.request))
    return {"version": task.labels.version, "claim": claim_document(claim, task.labels)}


def _vote(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    asked = read(VoteBody, body)
    request = _own(session, asked.request)
    return _receipt(
        parts.queue.vote(asked.lease, session.rater, asked.answer, ms=asked.ms, request=request)
    )


def _skip(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    asked = read(SkipBody, body)
    request = _own(session, asked.request)
    return _receipt(
        parts.queue.skip(asked.lease, session.rater, why=asked.why, ms=asked.ms, request=request)
    )


def _conflicts(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    must_adjudicate(session)
    return conflicts_document(parts.queue, parts.task_of(session, path["task"]))


def _adjudicate(parts: Parts, session: Session, path: dict[str, str], body: bytes) -> Any:
    must_adjudicate(session)
    asked = read(AdjudicationBody, body)
    request = _own(session, asked.request)
    return _receipt(
        parts.queue.adjudicate(asked.item, session.rater, asked.answer, request=request)
    )


def _own(session: Session, request: str) -> str:
    """Return the id of a request so that no other rater's can be the same."""
    return f"page:{session.rater}:{request}"


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "receipt": {
            "number": receipt.number,
            "item": receipt.item,
            "at": receipt.at.isoformat(),
            "batch_status": receipt.batch_status,
        }
    }
