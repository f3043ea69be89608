"""This module reads a request with outcomes, and explains what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from serving._request_faults import missing, not_allowed, out_of_range, wrong_type
from serving._request_reading import require_object
from serving._request_text import path_of
from serving._request_values import LARGEST_INT, LONGEST_TEXT, read_id, read_moment

_FIELDS = ("id", "value", "known_at", "name", "entity", "corrects", "source")
_KNOWN_FIELDS = frozenset(_FIELDS)
_MOST_KEYS = 8
_ID = "the id of a decision"


@dataclass(slots=True)
class OutcomeRequest:
    """This is what a request says of one decision's outcome.

    Args:
        id: Of the decision; None where it says whom the outcome is about instead.
        value: What happened, null where it will never be known.
        known_us: When it was known, in microseconds since 1970, None for now.
        name: Of several outcomes, which one; "" for the one without a name.
        corrects: Whether it may take the place of what was told before.
        source: Who says so, for people.
        entity: Whom it is about: columns of the decisions' entities; None where `id` says it.
    """

    id: str | None
    value: float | None
    known_us: int | None
    name: str = ""
    corrects: bool = False
    source: str | None = None
    entity: Mapping[str, str | int] | None = None


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
    if type(value) is not dict or not value.keys() <= _KNOWN_FIELDS:
        require_object(value, _FIELDS, what=f"The field '{field}'", within=field)
    entry: dict[str, Any] = value
    entity = entry.get("entity")
    if entity is not None:
        entity = _entity(entity, f"{field}.entity")
        if "id" in entry:
            raise not_allowed(
                f"{field}.id",
                f"The field '{field}' has both an 'id' and an 'entity'.",
                entry["id"],
                remedy="give the decision's id, or whom the outcome is about, not both.",
            )
    elif "id" not in entry:
        raise missing(f"{field}.id", _ID, remedy="give the decision's id, or its 'entity'.")
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
    made = OutcomeRequest(
        read_id(entry["id"], f"{field}.id") if entity is None else None,
        None if happened is None else float(happened),
        None if known_at is None else read_moment(known_at, f"{field}.known_at"),
        entity=entity,
    )
    if len(entry) > 2:
        _read_rest(entry, field, made)
    return made


def _read_rest(entry: Mapping[str, Any], field: str, made: OutcomeRequest) -> None:
    """Read what most outcomes have nothing of."""
    name, corrects, source = entry.get("name"), entry.get("corrects"), entry.get("source")
    if name is not None:
        if not isinstance(name, str):
            raise wrong_type(
                f"{field}.name", "text", name, remedy="send the name of one of the outcomes."
            )
        made.name = name
    if corrects is not None:
        if not isinstance(corrects, bool):
            raise wrong_type(
                f"{field}.corrects",
                "true or false",
                corrects,
                remedy="send true where the value takes the place of what was told before.",
            )
        made.corrects = corrects
    if source is not None:
        made.source = _text(source, f"{field}.source", "send who says so, in a few words.")


def _entity(value: Any, field: str) -> dict[str, str | int]:
    expected = f"an object with 1 to {_MOST_KEYS} columns of a decision's entity"
    if not isinstance(value, dict) or not 1 <= len(value) <= _MOST_KEYS:
        raise wrong_type(
            field, expected, value, remedy='say whom it is about, such as {"tail": "N14228"}.'
        )
    return {name: _key(each, path_of(field, name)) for name, each in value.items()}


def _key(value: Any, field: str) -> str | int:
    if type(value) is int:
        if not -LARGEST_INT <= value <= LARGEST_INT:
            raise out_of_range(
                field, "a number of 64 bits", "a larger one", remedy="send it as the decision had."
            )
        return value
    return _text(value, field, "send what the decision's entity had there.", of="text or a number")


def _text(value: Any, field: str, remedy: str, *, of: str = "text") -> str:
    if not isinstance(value, str):
        raise wrong_type(field, of, value, remedy=remedy)
    if not 1 <= len(value) <= LONGEST_TEXT:
        raise out_of_range(
            field,
            f"text of 1 to {LONGEST_TEXT} characters",
            f"{len(value):,} characters",
            remedy="shorten it.",
        )
    return value
