"""This module reads requests that hold many: a batch of decisions, and a list to be ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serving._request_errors import RequestError
from serving._request_faults import missing, out_of_range, wrong_type
from serving._request_reading import (
    DecisionRequest,
    read_explain,
    read_outputs,
    require_object,
)
from serving._request_rules import Rules
from serving._request_text import path_of
from serving._request_values import LONGEST_TEXT, read_id

MOST_BATCH_BYTES = 4 << 20
MOST_DECISIONS = 500  # of a JSON batch: an event loop reads and looks them up in tens of ms
MOST_RANKED = 500
MOST_EXPLAINED = 50  # a sampled explanation asks the model hundreds of times

_BATCH_FIELDS = ("decisions", "outputs", "explain")
_RANK_FIELDS = ("id", "entity", "features", "items", "top", "at", "outputs", "explain")
_ITEM_FIELDS = ("entity", "features")
_LONGEST_BATCH_ID = LONGEST_TEXT - 10

Read = Callable[[Any], DecisionRequest]


@dataclass(slots=True)
class BatchRequest:
    """This is what a JSON body with several decisions says.

    Args:
        decisions: Each decision, or what is wrong with it, in the order of the body.
    """

    decisions: list[DecisionRequest | RequestError]


@dataclass(slots=True)
class RankRequest:
    """This is what a request to rank a list says.

    Args:
        id: What the sender calls the list, None to have an id made for it.
        items: The items, each with the context of the list; they have no ids yet.
        top: How many of the ranked items are wanted, None for all.
        entity: The entity columns of the context, which all items share.
    """

    id: str | None
    items: list[DecisionRequest]
    top: int | None
    entity: dict[str, Any]


def read_batch(document: Any, rules: Rules, read: Read) -> BatchRequest:
    """Return the decisions that a body, as JSON was read, asks for.

    Args:
        document: The body.
        rules: The endpoint's.
        read: Reads one decision, or raises what is wrong with it.

    Raises:
        RequestError: The body is wrong as a whole.
    """
    body = require_object(document, _BATCH_FIELDS, what="A request to decide a batch")
    entries = _entries(body, "decisions", MOST_DECISIONS, "decisions")
    outputs, explain = read_outputs(body.get("outputs"), rules), read_explain(body)
    decisions: list[DecisionRequest | RequestError] = []
    explained = 0
    for entry in entries:
        try:
            request = read(entry)
        except RequestError as error:
            decisions.append(error)
            continue
        request.outputs = request.outputs or outputs
        request.explain = request.explain or explain
        explained += request.explain
        decisions.append(request)
    _require_few(explained)
    return BatchRequest(decisions)


def read_ranking(document: Any, rules: Rules, read: Read) -> RankRequest:
    """Return the list that a body, as JSON was read, asks to rank.

    Args:
        document: The body.
        rules: The endpoint's.
        read: Reads one decision, or raises what is wrong with it.

    Raises:
        RequestError: Something is wrong with it; a fault of an item is named with its place.
    """
    body = require_object(document, _RANK_FIELDS, what="A request to rank")
    identity = None if body.get("id") is None else read_batch_id(body["id"])
    context = {
        name: _object(body.get(name), name, f"an object of {what} that all items share")
        for name, what in (("entity", "key columns"), ("features", "feature values"))
    }
    entries = _entries(body, "items", MOST_RANKED, "items")
    if not entries:
        raise out_of_range(
            "items", f"a list of 1 to {MOST_RANKED} items", "none", remedy="name what to rank."
        )
    outputs, explain = read_outputs(body.get("outputs"), rules), read_explain(body)
    _require_few(len(entries) if explain else 0)
    items = []
    for place, entry in enumerate(entries):
        item = _item(entry, place, context)
        try:
            request = read(item | ({"at": body["at"]} if body.get("at") is not None else {}))
        except RequestError as error:
            raise within_item(error, place) from None
        request.outputs, request.explain = outputs, explain
        items.append(request)
    return RankRequest(identity, items, _top(body.get("top")), context["entity"])


def read_batch_id(value: Any) -> str:
    """Return the id of a batch or a list, from which the ids of its decisions are made.

    Raises:
        RequestError: It is no id, or so long that those of the decisions would be too long.
    """
    identity = read_id(value, "id")
    if len(identity) > _LONGEST_BATCH_ID:
        raise out_of_range(
            "id",
            f"text of at most {_LONGEST_BATCH_ID} characters",
            f"{len(identity):,} characters",
            remedy="shorten it: the id of each decision is this one, a slash and its place.",
        )
    return identity


def _entries(body: Mapping[str, Any], field: str, most: int, what: str) -> list[Any]:
    expected = f"a list of at most {most} {what}"
    if field not in body:
        raise missing(field, expected, remedy=f'send {{"{field}": [...]}}.')
    entries = body[field]
    if not isinstance(entries, list):
        raise wrong_type(field, expected, entries, remedy=f'send {{"{field}": [...]}}.')
    if len(entries) > most:
        raise out_of_range(
            field, expected, f"{len(entries):,} {what}", remedy="send them in several requests."
        )
    return entries


def _item(entry: Any, place: int, context: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    within = f"items[{place}]"
    item = require_object(entry, _ITEM_FIELDS, what=f"The field '{within}'", within=within)
    return {
        name: {**shared, **_object(item.get(name), f"{within}.{name}", "an object of its own")}
        for name, shared in context.items()
    }


def _object(value: Any, field: str, expected: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(field, expected, value, remedy='send an object, {"name": value, ...}.')
    return value


def within_item(error: RequestError, place: int) -> RequestError:
    """Return what is wrong with an item as what is wrong with the list."""
    return _within(error, f"items[{place}]", f"Item {place}")


def within_row(error: RequestError, place: int) -> RequestError:
    """Return what is wrong with a row as what is wrong with the table."""
    return _within(error, f"rows[{place}]", f"Row {place:,}")


def _within(error: RequestError, place: str, said: str) -> RequestError:
    return RequestError(
        error.code,
        f"{said}: {error.problem}",
        remedy=error.remedy,
        field=place if error.field is None else path_of(place, error.field),
        expected=error.expected,
        got=error.got,
    )


def _top(value: Any) -> int | None:
    if value is None:
        return None
    expected = f"a whole number from 1 to {MOST_RANKED}"
    remedy = "send how many of the best items are wanted, or leave it out for all."
    if type(value) is not int:
        raise wrong_type("top", expected, value, remedy=remedy)
    if not 1 <= value <= MOST_RANKED:
        raise out_of_range("top", expected, str(value)[:40], remedy=remedy)
    return value


def _require_few(explained: int) -> None:
    if explained > MOST_EXPLAINED:
        raise out_of_range(
            "explain",
            f"true for at most {MOST_EXPLAINED} decisions of a request",
            f"true for {explained:,}",
            remedy="ask without it, then for the decisions that matter once more with the same id.",
        )
