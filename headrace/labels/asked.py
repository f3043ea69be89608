"""This module checks items that are asked for and puts them in the order of asking; it is pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any, get_args

from headrace.errors import DataError, DefinitionError
from headrace.labels.items import NewItem, Slice
from headrace.labels.schema import KINDS_OF_PAGE
from headrace.labels.task import LabelTask
from headrace.labels.texts import clean, is_whole, shown

_SLICES = get_args(Slice)
_REMEDY = "Leave the item out, or put it right; nothing was asked for."
_MOST_BYTES_OF_ENTITY = 2_000  # databases find items by it, and an index takes no more
_MOST_BYTES_SHOWN = 4 * 1024 * 1024  # no person reads more, and no browser shows it at once
_MOST_OF_SUGGESTED_BY = 200


def checked(task: LabelTask, items: Sequence[NewItem], *, backend: str) -> list[NewItem]:
    """Return items with answers in their written form.

    Raises:
        DataError: There is none, one is there twice, or one of them cannot be asked for.
        DefinitionError: Our page cannot ask for labels of this kind.
    """
    if backend == "local" and task.labels.kind not in KINDS_OF_PAGE:
        raise DefinitionError(
            f"The task '{task.name}' asks for labels of the kind '{task.labels.kind}', which the "
            "labeling page cannot show.",
            remedy='Ask with backend="labelstudio".',
        )
    if not items:
        raise DataError(
            f"A batch of the task '{task.name}' without items was asked for.",
            remedy="Ask for at least one item.",
        )
    seen: set[str] = set()
    for item in items:
        if item.entity in seen:
            raise _wrong(item, "is there twice", "Ask for each item once; nothing was asked for.")
        seen.add(item.entity)
    return [_checked(task, item) for item in items]


def in_order(items: Sequence[NewItem], salt: str) -> list[NewItem]:
    """Return items in the order of asking: by priority, with gold ones spread among the others.

    Where a gold item comes says nothing of it: a hash decides, whatever its priority.
    """
    plain = sorted((i for i in items if i.slice != "gold"), key=lambda i: -i.priority)
    gold = sorted((i for i in items if i.slice == "gold"), key=lambda i: share_of(salt, i.entity))
    if not gold or not plain:
        return plain or gold
    # each gold item has a stretch of its own, and a place in it by chance
    stretch = len(plain) / len(gold)
    placed = [
        ((at + share_of(salt, "place", item.entity)) * stretch, item)
        for at, item in enumerate(gold)
    ]
    ordered: list[NewItem] = []
    waiting = iter([*placed, (math.inf, None)])
    place, next_gold = next(waiting)
    for at, item in enumerate(plain):
        while next_gold is not None and place <= at:
            ordered.append(next_gold)
            place, next_gold = next(waiting)
        ordered.append(item)
    while next_gold is not None:
        ordered.append(next_gold)
        place, next_gold = next(waiting)
    return ordered


def share_of(*words: str) -> float:
    """Return a number in [0, 1) that these words always have, as if drawn by chance."""
    drawn = sha256("\x1f".join(words).encode("utf-8", "replace")).digest()
    return int.from_bytes(drawn[:7], "big") / 2**56


def _checked(task: LabelTask, item: NewItem) -> NewItem:
    if not item.entity or not is_whole(item.entity):
        raise DataError(
            f"An item has the entity {shown(item.entity)}, which is no text to know it by.",
            remedy=_REMEDY,
        )
    if len(item.entity.encode()) > _MOST_BYTES_OF_ENTITY:
        raise DataError(
            f"An item has the entity {shown(item.entity)}, of {len(item.entity.encode()):,} bytes; "
            f"at most {_MOST_BYTES_OF_ENTITY:,} are kept.",
            remedy="Know items by something shorter, such as a number or a digest of the text.",
        )
    if item.slice not in _SLICES:
        raise _wrong(item, f"has the slice {item.slice!r}, none of {', '.join(_SLICES)}")
    if (item.slice == "gold") != (item.gold is not None):
        raise _wrong(
            item,
            "is of the slice 'gold' without a known answer"
            if item.gold is None
            else f"has a known answer, but is of the slice '{item.slice}'",
            'Give known answers to items of the slice "gold", and to these alone.',
        )
    if not isinstance(item.as_of, datetime) or item.as_of.utcoffset() is None:
        raise _wrong(item, f"says as of {item.as_of}, a time without a zone")
    if not math.isfinite(item.priority):
        raise _wrong(item, f"has the priority {item.priority}")
    if item.confidence is not None and not 0 <= item.confidence <= 1:
        raise _wrong(item, f"has the confidence {item.confidence}, which is not within 0 and 1")
    by = item.suggested_by
    if by is not None and not (is_whole(by) and len(by) <= _MOST_OF_SUGGESTED_BY):
        raise _wrong(
            item,
            f"is suggested an answer by {shown(by)}, which is no name of at most "
            f"{_MOST_OF_SUGGESTED_BY} characters",
        )
    return replace(
        item,
        shown=_shown(task, item),
        gold=_answer(task, item, "a known answer", item.gold),
        suggested=_answer(task, item, "a suggestion", item.suggested),
    )


def _shown(task: LabelTask, item: NewItem) -> dict[str, Any]:
    if set(item.shown) != set(task.show):
        raise _wrong(
            item,
            f"shows {_names(item.shown)}, while the task '{task.name}' shows {_names(task.show)}",
            "Show raters exactly the columns that the task lists; nothing was asked for.",
        )
    values: dict[str, Any] = {}
    try:
        values = clean({name: item.shown[name] for name in task.show})
        size = len(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise _wrong(
            item,
            f"shows what is not JSON: {problem}",
            "Show text, numbers, booleans, None, and lists and dicts of these.",
        ) from None
    if size > _MOST_BYTES_SHOWN:
        raise _wrong(
            item,
            f"shows {size:,} bytes, while a page takes at most {_MOST_BYTES_SHOWN:,}",
            "Show a shorter column, or the address of what is long; nothing was asked for.",
        )
    return values


def _answer(task: LabelTask, item: NewItem, what: str, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return task.labels.read(given)
    except DataError as problem:
        raise _wrong(
            item, f"has {what} that nobody could give: {problem.problem}", problem.remedy
        ) from None


def _wrong(item: NewItem, what: str, remedy: str = _REMEDY) -> DataError:
    end = "" if what.endswith((".", "?")) else "."
    return DataError(f"The item '{item.entity}' {what}{end}", remedy=remedy)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
