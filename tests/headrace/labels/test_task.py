"""A labeling task says what raters see, and cannot ask for what cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

TOPIC = LabelSchema(choices=("business", "sport"))


def declared(**changes: Any) -> LabelTask:
    document = {"name": "topic", "labels": TOPIC, "entity": "id", "show": ["text"]} | changes
    return LabelTask.model_validate(document)


def test_a_task_is_the_same_after_it_was_written_and_read() -> None:
    task = declared(title="Topics", raters=["ada", "bob"], overlap=2)

    assert LabelTask.model_validate(task.document()) == task
    assert task.heading == "Topics"
    assert declared().heading == "topic"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"show": ["text", "text"]}, "The column 'text' is shown twice"),
        (
            {"raters": ["ada"]},
            "2 raters are to answer each item, but only 1 may answer at all",
        ),
        ({"media": {"photo": "image"}}, "The column 'photo' is not shown"),
        ({"name": "Topic"}, "String should match pattern '^[a-z][a-z0-9_]{0,63}$'"),
        ({"raters": ["ada", "b\0b"]}, "The text 'b\\x00b' has a character that cannot be kept"),
        ({"title": "\ud800"}, "The text '\\ud800' has a character that cannot be kept"),
        ({"overlap": 0}, "Input should be greater than or equal to 1"),
        ({"show": []}, "Tuple should have at least 1 item after validation, not 0"),
    ],
)
def test_a_task_that_nobody_could_do_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        declared(**changes)

    assert [error["msg"] for error in refused.value.errors()] == [said]
