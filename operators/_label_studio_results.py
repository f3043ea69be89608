"""This module reads the result of an annotation as an answer to a task; it is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from operators._label_studio_config import ANSWER, takes_empty_answers

if TYPE_CHECKING:
    from headrace.labels.task import LabelTask

_TYPES = {
    "single": "choices",
    "multi": "choices",
    "number": "number",
    "ranking": "ranker",
    "span": "labels",
}


def answer_of(results: Sequence[Mapping[str, Any]], task: LabelTask, text: str = "") -> str:
    """Return the results of an annotation as a written answer.

    Args:
        results: What Label Studio keeps of an annotation.
        task: The task.
        text: For spans: the text in which they were marked.

    Raises:
        DataError: They are no answer to the task's schema.
    """
    schema = task.labels
    said = [each for each in results if each.get("type") != "relation"]
    foreign = next((each for each in said if each.get("from_name") != ANSWER), None)
    wrong = next((each for each in said if each.get("type") != _TYPES[schema.kind]), foreign)
    if wrong is not None:
        raise DataError(
            f"A result of the type '{wrong.get('type')}' by the control '{wrong.get('from_name')}' "
            f"is no answer of the kind '{schema.kind}'.",
            remedy="Do not change the labeling config of the project; ask for a new batch.",
        )
    if not said and not takes_empty_answers(schema):
        raise DataError("It has no answer.", remedy="Ask the annotator to answer, or to skip.")
    values = [each["value"] for each in said]
    if schema.kind == "span":
        return schema.read([span for value in values for span in _spans(value, text)])
    if schema.kind == "multi":
        return schema.read([choice for value in values for choice in value["choices"]])
    if len(values) > 1:
        raise DataError("It has two answers.", remedy="Ask the annotator to give one.")
    if schema.kind == "number":
        return schema.read(values[0]["number"])
    if schema.kind == "ranking":
        return schema.read([each for part in values[0]["ranker"].values() for each in part])
    chosen = values[0]["choices"]
    return schema.read(chosen[0] if len(chosen) == 1 else chosen)


def _spans(value: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
    start, end = value["start"], value["end"]
    # positions count characters of the text that we sent; whether they do is told by what was
    # marked, in which Label Studio may write line breaks otherwise
    if type(start) is int and type(end) is int and "text" in value:
        here, there = _letters(text[start:end]), _letters(str(value["text"]).replace("\\n", "\n"))
        if here != there and here != _letters(str(value["text"])):
            raise DataError(
                f"It marks {value['text']!r} at {start} to {end}, where the text says "
                f"{text[start:end]!r}.",
                remedy="Do not change the data of tasks; ask for a new batch.",
            )
    labels = value.get("labels") or []
    if not labels:
        raise DataError(
            f"It marks {start} to {end} without a label.",
            remedy="Ask the annotator to give each marked piece a label.",
        )
    return [{"start": start, "end": end, "label": label} for label in labels]


def _letters(text: str) -> str:
    return "".join(text.split())
