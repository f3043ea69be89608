"""This module reads what browsers send, and writes answers and refusals as JSON."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import DataError, HeadraceError, ServiceError, UnknownNameError

_MOST_BYTES = 256 * 1024
_STATUS = {
    "lease_expired": 409,
    "lease_unknown": 409,
    "other_rater": 403,
    "already_voted": 409,
    "item_full": 409,
    "item_unknown": 404,
    "request_reused": 409,
    "batch_closed": 409,
    "nothing_to_undo": 409,
    "signed_out": 401,
    "wrong": 403,
    "revoked": 403,
    "in_use": 409,
    "csrf": 403,
    "not_rater": 403,
    "not_given": 403,
    "not_adjudicator": 403,
    "too_large": 413,
    "too_often": 429,
}
_Request = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,48}$")]
_Item = Annotated[int, Field(ge=1, lt=2**63)]  # a number that a database knows
_Lease = Annotated[str, Field(max_length=64)]
_Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
_Written = TypeVar("_Written", bound=BaseModel)


class Refusal(DataError):
    """This request cannot be answered; the page tells by `reason` what to do about it."""

    def __init__(self, problem: str, *, remedy: str, reason: str) -> None:
        super().__init__(problem, remedy=remedy)
        self.reason = reason


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NextBody(_Body):
    """This asks for an item: a certain one, or the one after that which the rater has."""

    item: _Item | None = None
    ahead: Annotated[int, Field(ge=0, le=1)] = 0


class VoteBody(_Body):
    """This answers an item."""

    lease: _Lease
    answer: Any
    ms: _Milliseconds | None = None
    request: _Request


class SkipBody(_Body):
    """This skips an item."""

    lease: _Lease
    why: Annotated[str, Field(min_length=1, max_length=1000)]
    ms: _Milliseconds | None = None
    request: _Request


class UndoBody(_Body):
    """This takes the last answer back."""

    request: _Request


class AdjudicationBody(_Body):
    """This decides an item on which votes differ."""

    item: _Item
    answer: Any
    request: _Request


async def body_of(request: Request, *, most: int = _MOST_BYTES) -> bytes:
    """Return the body of a request.

    Raises:
        Refusal: It is too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise Refusal(
                f"The request is larger than {most // 1024} KiB.",
                remedy="Send one answer at a time.",
                reason="too_large",
            )
    return bytes(body)


def form_of(body: bytes) -> dict[str, str]:
    """Return the fields of a form that a browser sent; of several of a name, the last."""
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


def read(kind: type[_Written], body: bytes) -> _Written:
    """Return a JSON body as what it should be.

    Raises:
        Refusal: It is something else; the message says where.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in first["loc"]) or "the body"
        raise Refusal(
            f"The request is not understood: {place}: {first['msg']}.",
            remedy="Reload the page; it may be older than the server.",
            reason="request",
        ) from None


def answer(document: Any, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def refused(error: HeadraceError) -> Response:
    """Return what was wrong in JSON, with a status that says whose fault it is."""
    reason = reason_of(error)
    document = {"problem": error.problem, "remedy": error.remedy, "reason": reason}
    return answer(document, status_of(error))


def reason_of(error: HeadraceError) -> str:
    """Return the one word by which the page tells refusals apart."""
    told = getattr(error, "reason", None)
    if told:
        return str(told)
    if isinstance(error, UnknownNameError):
        return "unknown"
    return "answer" if isinstance(error, DataError) else "service"


def status_of(error: HeadraceError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, ServiceError):
        return 503
    if isinstance(error, UnknownNameError):
        return 404
    return _STATUS.get(reason_of(error), 422)
