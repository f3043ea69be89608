"""This module turns items into tasks of Label Studio: what raters see, and what is suggested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import DataError
from headrace.labels.asked import share_of
from operators._label_studio_config import (
    ANSWER,
    ITEM,
    ORDERED,
    answered_column,
    data_keys,
    takes_empty_answers,
)

if TYPE_CHECKING:
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

_MISSING = "\u2014"  # Label Studio takes no null for a text
_WEB = ("http://", "https://")


class Asked(Protocol):
    """This is what is read of an item of the queue."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def entity(self) -> str:
        """What it is."""

    @property
    def shown(self) -> Mapping[str, Any]:
        """What raters see."""

    @property
    def suggested(self) -> str | None:
        """What is suggested, written."""

    @property
    def confidence(self) -> float | None:
        """How sure that is."""


def task_of(item: Asked, task: LabelTask, *, batch: str) -> dict[str, Any]:
    """Return an item as Label Studio imports it; nothing in it tells a gold item from another.

    Args:
        item: The item; of its columns those that the task shows.
        task: The task.
        batch: Id of its batch.

    Raises:
        DataError: A medium has no address, or there is no text to mark.
    """
    data: dict[str, Any] = {
        key: _value(item, task, column) for column, key in data_keys(task).items()
    }
    data[ITEM] = item.id
    if task.labels.kind == "ranking":
        data[ORDERED] = [{"id": each} for each in task.labels.choices]  # which is shown
    if not shows_suggestion(item, task, batch=batch):
        return {"data": data}
    said = suggested_results(str(item.suggested), task, shown=item.shown)
    prediction = {"model_version": "headrace", "score": item.confidence, "result": said}
    return {"data": data, "predictions": [prediction]}


def shows_suggestion(item: Asked, task: LabelTask, *, batch: str) -> bool:
    """Say whether raters see what is suggested for an item: the same for all, and for ever.

    It is hidden for the task's share of the items, drawn by their numbers.
    """
    if item.suggested is None or not task.suggest:
        return False
    if takes_empty_answers(task.labels) and not task.labels.value(item.suggested):
        return False  # "none of them" cannot be seen
    return share_of(batch, str(item.id), "suggestion") >= task.hide_suggestions


def suggested_results(
    written: str, task: LabelTask, *, shown: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a written answer as Label Studio says it.

    Args:
        written: The answer.
        task: The task.
        shown: What raters see of the item; spans are marked in its text.
    """
    schema = task.labels
    about = {"from_name": ANSWER, "to_name": f"shown_{task.show.index(answered_column(task))}"}
    value = schema.value(written)
    if schema.kind == "span":
        text = str(shown.get(answered_column(task)))
        return [about | _span(each, text, number) for number, each in enumerate(value)]
    if schema.kind == "ranking":
        about["to_name"] = "ordered"
    return [about | _said(schema, value)]


def _said(schema: LabelSchema, value: Any) -> dict[str, Any]:
    if schema.kind == "number":
        return {"type": "number", "value": {"number": value}}
    if schema.kind == "ranking":
        return {"type": "ranker", "value": {"ranker": {ANSWER: value}}}
    return {"type": "choices", "value": {"choices": [value] if schema.kind == "single" else value}}


def _span(span: Mapping[str, Any], text: str, number: int) -> dict[str, Any]:
    start, end = span["start"], span["end"]
    marked = {"start": start, "end": end, "text": text[start:end], "labels": [span["label"]]}
    return {"id": f"span{number}", "type": "labels", "value": marked}


def _value(item: Asked, task: LabelTask, column: str) -> str:
    value = item.shown.get(column)
    if column in task.media:
        if isinstance(value, str) and value.startswith(_WEB):
            return value
        raise DataError(
            f"The column '{column}' of the item '{item.entity}' holds {value!r}, which is no "
            f"address of an {task.media[column]}.",
            remedy="Give an address that begins with http:// or https://, which raters can reach.",
        )
    if task.labels.kind == "span" and column == answered_column(task):
        if isinstance(value, str) and value:
            return value  # unchanged: positions count its characters
        raise DataError(
            f"The column '{column}' of the item '{item.entity}' holds {value!r}: there is no text "
            "to mark.",
            remedy="Leave such rows out of what is asked for.",
        )
    if value is None or value == "":
        return _MISSING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
