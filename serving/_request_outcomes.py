"""This module reads a request with outcomes, and explains what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any

from serving._request_faults import missing, wrong_type
from serving._request_reading import require_object
from serving._request_values import read_id, read_moment

_FIELDS = ("id", "value", "known_at")


@dataclass(slots=True)
class OutcomeRequest:
    """This is what a request says of one decision's outcome.

    Args:
        id: Of the decision.
        value: What happened, null where it will never be known.
        known_us: When it was known, in microseconds since 1970, None for now.
    """

    id: str
    value: float | None
    known_us: int | None


def read_outcomes(document: Any) -> list[OutcomeRequest]:
    """Return the outcomes that a body, as JSON was read, tells; in its order.

    Raises:
        RequestError: Something is wrong with it; the first thing that is, is named.
    """
    told = require_object(document, ("outcomes",), what="A request with outcomes")
    expected = "a list of objects with 'id' and 'value'"
    remedy = 'send {"outcomes": [{"id": ..., "value": ...}]}.'
    if "outcomes" not in told:
        raise missing("outcomes", expected, remedy=remedy)
    entries = told["outcomes"]
    if not isinstance(entries, list):
        raise wrong_type("outcomes", expected, entries, remedy=remedy)
    return [_read_outcome(entry, f"outcomes[{index}]") for index, entry in enumerate(entries)]


def _read_outcome(value: Any, field: str) -> OutcomeRequest:
    entry = require_object(value, _FIELDS, what=f"The field '{field}'", within=field)
    if "id" not in entry:
        raise missing(f"{field}.id", "the id of a decision", remedy="give the decision's id.")
    if "value" not in entry:
        raise missing(
            f"{field}.value", "a number or null", remedy="give null where it will never be known."
        )
    happened, known_at = entry["value"], entry.get("known_at")
    if type(happened) not in (float, int, NoneType):
        raise wrong_type(
            f"{field}.value",
            "a number or null",
            happened,
            remedy="send what happened as a number, 1 or 0 where it is a class.",
        )
    return OutcomeRequest(
        read_id(entry["id"], f"{field}.id"),
        None if happened is None else float(happened),
        None if known_at is None else read_moment(known_at, f"{field}.known_at"),
    )
