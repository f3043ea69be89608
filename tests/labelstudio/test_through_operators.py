"""From rows to labels by the operators, with people in Label Studio in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from flows._command.main import app
from headrace import Table
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.settings import using_settings
from operators.aggregate_votes import aggregate_votes
from operators.collect_labels import collect_labels
from operators.request_labels import request_labels
from tests.labelstudio.conftest import TOKEN, Rater, Server

TOPIC = LabelTask(
    name="topic_in_label_studio",
    labels=LabelSchema(choices=("sport", "business")),
    entity="id",
    show=("text",),
)


@pytest.fixture
def configured(server: Server) -> Iterator[None]:
    with using_settings(label_studio_url=server.url, label_studio_token=TOKEN):
        yield


@pytest.mark.usefixtures("configured")
def test_rows_become_labels_and_asking_again_asks_nobody(ada: Rater, bob: Rater) -> None:
    rows = pd.DataFrame({"id": ["a", "b"], "text": ["A match was won.", "Shares fell."]})
    news: Table[Any] = Table.of(rows)

    asked = request_labels(news, task=TOPIC, backend="labelstudio")
    again = request_labels(news, task=TOPIC, backend="labelstudio")
    project = int(str(asked.document["url"]).split("/projects/")[1].split("/")[0])
    for rater in (ada, bob):
        while (task := rater.next(project)) is not None:
            chosen = "sport" if "match" in task["data"]["text"] else "business"
            value = {"choices": [chosen]}
            about = {"from_name": "answer", "to_name": "shown_0", "type": "choices"}
            rater.annotate(task["id"], [about | {"value": value}])
    batch = str(asked.document["batch"])
    fetched = CliRunner().invoke(app, ["label", "sync", batch], catch_exceptions=False).stdout
    votes, collected = collect_labels([asked], task=TOPIC)
    once_more, _ = collect_labels([asked], task=TOPIC)
    labels, _ = aggregate_votes(votes, schema=TOPIC.labels)

    assert again.document == asked.document
    assert fetched == (
        f"Batch {batch} of '{TOPIC.name}' is up to date: 4 of 4 votes, 2 of 2 items done.\n"
        "New: 4; changed: 0; taken back: 0.\n"
    )
    assert collected.document["passed"]
    assert once_more.digest == votes.digest
    assert set(votes.frame()["rater"]) == {ada.email, bob.email}
    settled = labels.frame()
    assert dict(zip(settled["entity"], settled["label"], strict=True)) == {
        "a": "sport",
        "b": "business",
    }
