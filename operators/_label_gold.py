"""This module mixes items whose answer is known into a batch, so that raters cannot tell them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from headrace.labels.items import NewItem
from operators._label_items import Drafts, drafts_of

if TYPE_CHECKING:
    from headrace.artifacts import Tabular
    from headrace.labels.task import LabelTask


def gold_drafts(gold: Tabular[Any], task: LabelTask, *, now: datetime) -> Drafts:
    """Return known answers as items.

    Args:
        gold: Rows with the task's columns and their label, in the column with the role "label" or
            the one that is called "label".
        task: What raters are asked.
        now: What stands for the moment of rows that have none.

    Raises:
        DataError: A label is missing or no answer to the task; up to five are named.
    """
    label = label_column(gold)
    known = gold.arrow().column(label).to_pylist()
    drafts = drafts_of(without(gold, "slice"), task, now=now)
    wrong: list[str] = []
    items = []
    for item, answer in zip(drafts.items, known, strict=True):
        try:
            items.append(replace(item, slice="gold", gold=task.labels.read(answer)))
        except DataError as error:
            wrong.append(f"'{item.entity}': {error.problem}")
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(
            f"Gold of task '{task.name}' has {len(wrong)} wrong labels of {len(known)}. "
            f"{' '.join(wrong[:5])}{more}",
            remedy="Correct these labels, or leave the items out; nothing was asked for.",
        )
    return Drafts(items=tuple(items), timed=drafts.timed)


def mixed(items: Sequence[NewItem], gold: Sequence[NewItem], *, share: float) -> list[NewItem]:
    """Return the items and as many gold ones as make the share; the queue spreads them.

    Which gold items are taken depends on the batch alone, so that another batch takes others and
    the same batch always the same.

    Args:
        items: What is asked.
        gold: Known answers; those of entities that are asked anyway are not taken.
        share: Share of the whole that is to be gold, 0 up to but without 1.
    """
    asked = {item.entity for item in items}
    salt = _digest(*sorted(asked))
    free = {g.entity: g for g in gold if g.entity not in asked}
    drawn = sorted(free.values(), key=lambda g: _digest(salt, g.entity))
    wanted = round(len(items) * share / (1 - share))
    if share > 0 and items:
        wanted = max(wanted, 1)
    return [*items, *drawn[:wanted]]


def gold_stands_out(items: Sequence[NewItem]) -> bool:
    """Say whether other items have suggestions, and no gold one has."""
    gold = [item.suggested is not None for item in items if item.slice == "gold"]
    others = [item.suggested is not None for item in items if item.slice != "gold"]
    return bool(gold) and not any(gold) and any(others)


def label_column(gold: Tabular[Any]) -> str:
    """Return the column with the known answers.

    Raises:
        DataError: There is none.
    """
    found = () if gold.schema is None else gold.schema.with_role("label")
    names = gold.arrow().column_names
    if len(found) == 1:
        return found[0].name
    if "label" in names:
        return "label"
    raise DataError(
        f"Gold has no column with known answers, only {', '.join(names)}.",
        remedy='Give one column `Col(role="label")`, or call it "label".',
    )


def without(table: Tabular[Any], name: str) -> Tabular[Any]:
    """Return the table without a column, if it has it."""
    arrow = table.arrow()
    if name not in arrow.column_names:
        return table
    schema = None if table.schema is None else table.schema.dropping([name])
    return type(table).of(arrow.drop_columns([name]), schema=schema)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
