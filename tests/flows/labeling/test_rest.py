"""What people need not label, the model labels as far as it is proven; people get the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows._labeling.catalog import at_hand
from flows.label_rest import label_rest
from flows.labeling import LabelLoop, run_loop
from headrace.errors import DataError
from headrace.execution import Session
from headrace.labels.queue import LabelQueue
from headrace.settings import using_settings
from operators._evaluation_reserve import in_reserve
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
    assert not in_reserve(items, share=0.5, salt="fruit").any()
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
