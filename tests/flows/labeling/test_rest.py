"""What people need not label, the model labels as far as it is proven; people get the rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import pytest

from flows._labeling.catalog import at_hand
from flows._labeling.pieces import part_of_pool
from flows.label_rest import label_rest
from flows.labeling import LabelLoop, run_loop
from headrace import Col, Schema, Table, Votes
from headrace.errors import DataError
from headrace.execution import Session
from headrace.labels.columns import Vote
from headrace.labels.queue import LabelQueue
from headrace.settings import using_settings
from operators._selection_pool import pool_of
from operators.select_for_labeling import select_for_labeling
from tests.flows.labeling.fruit import TASK, fruit_of, loop, rater, write_notes

RATERS = {"ada": rater(1.0), "bob": rater(0.98, 1)}
COUNT = 400


def notes() -> object:
    return write_notes(count=COUNT)


def wide() -> LabelLoop:
    """Return a loop that asks for enough at once to prove a model by."""
    task = TASK.model_copy(update={"gold_share": 0.0})
    return loop(task=task, pool=notes, batch=160, random_share=0.5, reserve_share=0.5)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("rest")
    with using_settings(home=home, roots=[Path(__file__).parent]):
        run_loop(wide(), RATERS, rounds=1)
    return home


@pytest.fixture
def queue(home: Path) -> Iterator[LabelQueue]:
    with using_settings(home=home, roots=[Path(__file__).parent]), at_hand(wide()):
        yield LabelQueue()


def truth() -> dict[str, str]:
    return {row["note"]: fruit_of(row) for row in write_notes(count=COUNT).arrow().to_pylist()}


def test_labels_of_the_model_are_taken_where_it_is_proven_and_say_whose_they_are(
    queue: LabelQueue,
) -> None:
    run = label_rest.run(loop="fruit", required_accuracy=0.8).require_completed()

    labels = run.returned().frame()
    by_machine = labels[labels["source"] == "model"]
    right = (by_machine["entity"].map(truth()) == by_machine["label"]).mean()
    reports = [run[f"{folder}route_items.report"].document for folder in ("", "reserve/")]
    routed = sum(report["routes"]["model"]["items"] for report in reports)
    assert (labels["source"] == "person").sum() == 160
    assert len(by_machine) == routed > 50
    assert right >= 0.8
    assert set(by_machine["method"]) == {"routed"}
    assert by_machine["probability"].between(0.8, 1.0).all()
    assert (by_machine["label_known_at"] == labels["label_known_at"].max()).all()
    assert not labels["entity"].duplicated().any()
    assert len(queue.batches(task="fruit")) == 1  # nobody was asked


def test_a_model_that_is_not_proven_labels_nothing(queue: LabelQueue) -> None:
    run = label_rest.run(loop="fruit", required_accuracy=1.0).require_completed()

    report = run["labels_of_routes.report"].document
    assert report["by_source"] == {"person": 160}
    assert (report["passed"], report["without_label"]) == (False, COUNT - 160)


def test_the_labels_descend_from_the_votes_of_people(queue: LabelQueue) -> None:
    run = label_rest.run(loop="fruit", required_accuracy=0.8).require_completed()

    graph = Session.of_settings().lineage.closure(run.returned().digest, "up")
    order = [node.label.rsplit(".", 1)[-1] for node in graph.nodes]
    assert {"request_labels", "collect_labels", "train_labeler", "route_items"} <= set(order)


def test_people_are_asked_about_the_rest_as_far_as_their_minutes_go_and_once(
    queue: LabelQueue,
) -> None:
    run = label_rest.run(loop="fruit", required_accuracy=1.0, people_minutes=5.0)
    asked = run.require_completed()["request_labels:fruit"].document

    # five seconds a vote and two votes an item: five minutes are thirty items
    assert (asked["items"], asked["wanted"]) == (30, 60)
    [going] = queue.batches(task="fruit", status="open")
    # nothing of what models are judged by: chance alone may choose of that
    items = [item.entity for item in queue.items(going.id)]
    pool = pool_of(write_notes(count=COUNT), None, share=0.5, salt="fruit")
    kept = dict(zip(pool.entities, pool.sides.reserved, strict=True))
    assert not any(kept[item] for item in items)
    with pytest.raises(DataError) as again:
        label_rest.run(loop="fruit", people_minutes=5.0)
    assert str(again.value) == (
        f"Batch {going.id} of loop 'fruit' is still being answered: 0 of 30 items are done.\n"
        "  Fix: Wait until it is complete, or end it with `headrace label close "
        f"{going.id} --reason ...`."
    )


def test_a_pool_of_which_nothing_was_answered_has_no_rest(tmp_path: Path) -> None:
    with (
        using_settings(home=tmp_path, roots=[Path(__file__).parent]),
        at_hand(wide()),
        pytest.raises(DataError) as refused,
    ):
        label_rest.run(loop="fruit")

    assert str(refused.value) == (
        "People have answered 0 items of loop 'fruit' to learn from and 0 to judge by; a model "
        "needs 8 and 1.\n  Fix: Ask on with `headrace run label_round -p loop=fruit`."
    )


class Texts(Schema, Protocol):
    text_id: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]


def test_a_copy_of_what_is_kept_to_judge_by_is_kept_too() -> None:
    """Or people would label it because a model is unsure, and the reserve would lose its family."""
    texts = [f"text of number {n % 40 + 10}" for n in range(120)]
    pool = Table[Texts].of({"text_id": [f"t{n}" for n in range(120)], "text": texts})
    batch, _ = select_for_labeling(pool, size=12, random_share=0.5, reserve_salt="fruit", seed=1)

    asked = batch.frame()
    count, noon = len(asked), datetime(2026, 7, 1, 12, tzinfo=UTC)
    nothing = dict.fromkeys(
        ("skipped", "confidence", "gold", "seconds", "suggested", "suggested_by"), [None] * count
    )
    votes = Votes[Vote].of(
        {
            **nothing,
            "entity": asked["text_id"].tolist(),
            "slice": asked["slice"].tolist(),
            **dict.fromkeys(("as_of", "voted_at"), [noon] * count),
            **dict.fromkeys(("rater", "source", "label", "schema_version", "batch"), ["x"] * count),
            "suggestion_shown": [False] * count,
        }
    )

    kept = part_of_pool(pool, votes, reserve=True, share=0.2, salt="fruit").frame()
    rest = part_of_pool(pool, votes, reserve=False, share=0.2, salt="fruit").frame()

    assert len(kept) + len(rest) == 120
    assert not set(kept["text"]) & set(rest["text"])
    assert set(asked[asked["slice"] == "random"]["text"]) <= set(kept["text"])
