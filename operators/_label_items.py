"""This module makes items for the queue of a table's rows: what raters may see, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

from headrace.errors import DataError
from headrace.labels.items import NewItem, Slice

if TYPE_CHECKING:
    from headrace.artifacts import Tabular
    from headrace.labels.task import LabelTask
    from headrace.schemas import TableSchema

SLICES: tuple[str, ...] = get_args(Slice)
_EXACT = 2**53  # a browser's numbers are floats; whole numbers beyond lose their last digits


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """These are items before they are asked for.

    Attributes:
        items: The items, in the order of the rows.
        timed: Whether their rows say as of when they hold. If not, `as_of` of the items is the
            moment of the request, which does not count when requests are compared.
    """

    items: tuple[NewItem, ...]
    timed: bool


def drafts_of(table: Tabular[Any], task: LabelTask, *, now: datetime) -> Drafts:
    """Return the rows as items.

    Args:
        table: Rows with the task's columns; with those of `select_for_labeling`, or without.
        task: What raters are asked.
        now: What stands for the moment of rows that have none.

    Raises:
        DataError: A row has no entity, or a slice or suggestion that there cannot be.
    """
    when = time_column(table.schema)
    rows = list(_rows(table, task, when))
    items = tuple(_item(row, task, row.get(when) if when else None, now) for row in rows)
    return Drafts(items=items, timed=when is not None)


def shown_of(row: Mapping[str, Any], task: LabelTask) -> dict[str, Any]:
    """Return what raters see of a row: the task's columns, in its order, JSON-like."""
    return {name: plain(row[name]) for name in task.show}


def time_column(schema: TableSchema | None) -> str | None:
    """Return the column that says as of when a row holds: of the decision, or known."""
    for role in ("decision_time", "known_time"):
        found = () if schema is None else schema.with_role(role)
        if len(found) == 1:
            return found[0].name
    return None


def plain(value: Any) -> Any:
    """Return a cell as JSON-like data: numbers, text, and moments as RFC 3339; NaN is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Decimal):
        return str(value)
    raise DataError(
        f"A value of type {type(value).__name__} cannot be shown to raters.",
        remedy="Show columns of text, numbers, times or lists of these.",
    )


def _rows(table: Tabular[Any], task: LabelTask, when: str | None) -> Iterator[dict[str, Any]]:
    arrow = table.arrow()
    extra = ("slice", "priority", "suggested", "suggested_by", "confidence", when)
    wanted = dict.fromkeys([task.entity, *task.show, *(n for n in extra if n)])
    # only these are read at all, so that what raters may not see cannot slip in
    yield from arrow.select([n for n in wanted if n in arrow.column_names]).to_pylist()


def _item(
    row: Mapping[str, Any], task: LabelTask, as_of: datetime | None, now: datetime
) -> NewItem:
    entity = row[task.entity]
    if entity is None:
        raise DataError(
            f"A row has no '{task.entity}', so nobody could tell what its label is of.",
            remedy=f"Leave out rows whose '{task.entity}' is null.",
        )
    suggested = row.get("suggested")
    return NewItem(
        entity=str(entity),
        as_of=as_of or now,
        shown=shown_of(row, task),
        slice=_slice(row, str(entity)),
        priority=float(row.get("priority") or 0.0),
        suggested=None if suggested is None else _suggestion(suggested, str(entity), task),
        suggested_by=row.get("suggested_by"),
        confidence=row.get("confidence"),
    )


def _slice(row: Mapping[str, Any], entity: str) -> Slice:
    found = row.get("slice", "chosen")
    if found not in SLICES or found == "gold":
        raise DataError(
            f"Item '{entity}' has the slice {found!r}, which is none that rows can have.",
            remedy="Let `select_for_labeling` say which slice a row is of (random, chosen or "
            "audit), or drop the column 'slice'; known answers are given as `gold`.",
        )
    return found  # type: ignore[no-any-return]


def _suggestion(suggested: Any, entity: str, task: LabelTask) -> str:
    try:
        return task.labels.read(suggested)
    except DataError as error:
        raise DataError(
            f"What is suggested for item '{entity}' cannot be: {error.problem}",
            remedy="Suggest answers of the task's own schema.",
        ) from None
