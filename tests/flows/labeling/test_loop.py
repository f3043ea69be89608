"""Tests of the labeling loop in process: the flows, the queue and the models are the real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows._labeling.catalog import at_hand
from flows.label_collect import label_collect
from flows.label_round import label_round
from flows.labeling import LabelLoop, LoopRound, run_loop
from headrace import load
from headrace.errors import DefinitionError, HeadraceError
from headrace.execution import RunError, Session
from headrace.labels.items import NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.plan.graph import PlanError
from headrace.settings import using_settings
from headrace.workflow import Flow
from operators.label_by_rules import LabelingRule
from tests.flows.labeling.fruit import TASK, fruit_of, know_notes, loop, rater, write_notes

RATERS = {"ada": rater(1.0), "bob": rater(0.95, 1)}


def ran(flow: Flow[..., Any], **parameters: Any) -> Any:
    return flow.run(**parameters).require_completed()


def refused(flow: Flow[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(HeadraceError) as caught:
        flow.plan(**parameters)
    assert not isinstance(caught.value, PlanError)  # the flow is as it should be
    return caught.value.problem, caught.value.remedy


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LoopRound]]:
    """Play three rounds, once for all tests that only look."""
    home = tmp_path_factory.mktemp("played")
    with using_settings(home=home, roots=[Path(__file__).parent]):
        return home, run_loop(_played(), RATERS, rounds=3)


@pytest.fixture
def history(played: tuple[Path, list[LoopRound]]) -> Iterator[list[LoopRound]]:
    home, rounds = played
    with using_settings(home=home, roots=[Path(__file__).parent]), at_hand(_played()):
        yield rounds


def test_a_loop_learns_from_round_to_round_and_says_what_it_came_to(history: list[LoopRound]):
    assert [each.number for each in history] == [1, 2, 3]
    labels = [each.report["labels"] for each in history]
    assert labels == sorted(set(labels))
    assert history[-1].accuracy is not None
    assert history[-1].accuracy > 0.6  # a guess is right in a third
    assert history[-1].report["judged"] == 24  # eight random notes a round, judged all together
    votes = LabelQueue().votes(task="fruit")
    assert history[-1].report["human"]["seconds"] == 5 * len(votes)


def test_models_of_earlier_rounds_are_known_to_the_cache(history: list[LoopRound]):
    last = Session.of_settings().lineage.invocations(history[-1].collected)

    states = {each.node: each.state for each in last}
    assert [states[f"round_{i}/train_labeler"] for i in (1, 2, 3)] == ["cached"] * 2 + ["executed"]


def test_running_a_step_again_gives_the_same_labels_and_asks_nothing_twice(
    history: list[LoopRound],
):
    again = ran(label_collect, batch=history[1].batch)
    first = ran(label_collect, batch=history[0].batch)
    round_again = ran(label_round, loop="fruit", number=2)

    labels = load(f"run:{history[1].collected}/round_2/aggregate_votes.labels")
    assert again["round_2/aggregate_votes.labels"].digest == labels.digest
    assert again.pure_executed() == 2  # what reads the queue, each time
    assert first["decide_round"].document["next_round"] == 2
    assert round_again["asked_before"].document["batch"] == history[1].batch
    assert len(LabelQueue().batches(task="fruit")) == 3


def test_the_votes_of_a_batch_lead_to_the_model_in_lineage(history: list[LoopRound]):
    model = load(f"run:{history[0].collected}/round_1/train_labeler")
    graph = Session.of_settings().lineage.closure(model.digest, "up")

    order = [node.label.rsplit(".", 1)[-1] for node in graph.nodes]
    path = ["select_for_labeling", "request_labels", "collect_labels", "Votes"]
    path += ["aggregate_votes", "Labels", "train_labeler", "Model"]
    assert [order.index(each) for each in path] == sorted(order.index(each) for each in path)


def test_a_round_is_not_asked_while_one_is_being_answered(queue: LabelQueue):
    with at_hand(loop()):
        asked = ran(label_round, loop="fruit")["request_labels:fruit"]
        again = ran(label_round, loop="fruit")["asked_before"]

    assert again.digest == asked.digest
    assert len(queue.batches(task="fruit")) == 1


def test_rules_suggest_answers_before_there_is_a_model_except_on_the_random_slice(
    queue: LabelQueue,
):
    zest = LabelingRule(name="zest", fn=_zest)
    with at_hand(loop(rules=(zest,), gold=know_notes)):
        ran(label_round, loop="fruit")

    items = queue.items(queue.batches(task="fruit")[0].id)
    with_zest = [i for i in items if "zest" in i.shown["text"]]
    assert {i.suggested for i in with_zest if i.slice != "random"} == {"lemon"}
    assert {i.suggested_by for i in with_zest if i.slice != "random"} == {"rule:zest"}
    assert {i.suggested for i in items if i.slice == "random"} == {None}


def test_gold_carries_the_models_suggestions_as_the_chosen_items_do(queue: LabelQueue):
    declared = loop(gold=know_notes)
    run_loop(declared, RATERS, rounds=1)
    with at_hand(declared):
        ran(label_round, loop="fruit")

    items = queue.items(queue.batches(task="fruit", status="open")[0].id)
    suggested = {
        i.slice: {x.suggested is not None for x in items if x.slice == i.slice} for i in items
    }
    assert suggested == {"random": {False}, "chosen": {True}, "gold": {True}}


def test_what_nobody_answered_stops_the_loop(queue: LabelQueue):
    history = run_loop(loop(), {"ada": rater(skips=1.0), "bob": rater(skips=1.0)}, rounds=3)

    batch = history[0].batch
    assert [(each.decision, each.reason, each.why) for each in history] == [
        (
            "stop",
            "no_answers",
            f"Nobody answered: all 40 votes on batch {batch} are skips ('gave no answer' 40); "
            "asking for more would bring the same.",
        )
    ]


def test_a_batch_that_was_closed_early_is_learned_from_as_far_as_it_went(queue: LabelQueue):
    declared = loop(batch=40)
    with at_hand(declared):
        ran(label_round, loop="fruit")
        batch = queue.batches(task="fruit")[0]
        _answer_some(queue, 30)
        queue.close(batch.id, why="enough")

        found = ran(label_collect, batch=batch.id)["decide_round"].document

    assert found["decision"] == "next"
    assert 0 < found["labels"] + found["judged"] <= 30


def test_an_empty_pool_says_so(queue: LabelQueue):
    declared = loop(pool=_no_notes)

    with at_hand(declared), pytest.raises(RunError, match="has no rows"):
        ran(label_round, loop="fruit")


def test_a_loop_ends_when_everything_was_asked(queue: LabelQueue):
    history = run_loop(loop(pool=_few_notes, batch=20, patience=9, train_from=90), RATERS, rounds=3)

    assert history[-1].reason == "exhausted"
    assert history[-1].why == "All 24 items of the pool were asked for."


def test_the_target_is_reached_when_the_lower_limit_is(queue: LabelQueue):
    history = run_loop(loop(target=0.3, batch=32), {"a": rater(), "b": rater(seed=1)}, rounds=4)

    assert history[-1].reason == "target"
    assert history[-1].report["accuracy"]["low"] > 0.3


def test_a_budget_that_is_spent_stops_the_loop(queue: LabelQueue):
    slow = {"ada": rater(seconds=120.0), "bob": rater(seed=1, seconds=120.0)}

    history = run_loop(loop(budget_hours=1.5), slow, rounds=3)  # 80 minutes a round

    assert [each.reason for each in history] == ["budget"]


def test_doubtful_labels_are_asked_again_once(queue: LabelQueue):
    sloppy = {"ada": rater(0.6, 3), "bob": rater(0.6, 4)}
    run_loop(loop(audit=5, batch=30), sloppy, rounds=3)

    asked = [
        (item.entity, item.slice) for b in queue.batches(task="fruit") for item in queue.items(b.id)
    ]
    audited = [entity for entity, part in asked if part == "audit"]
    assert audited
    assert len(audited) == len(set(audited))
    # none by which models are judged: a model would choose which of those labels are corrected
    assert set(audited) <= {entity for entity, part in asked if part == "chosen"}


def test_a_loop_that_there_is_not_is_named_with_the_nearest(queue: LabelQueue):
    with at_hand(loop()):
        found = refused(label_round, loop="fruits")

    assert found == (
        "There is no labeling loop 'fruits'. Did you mean 'fruit'?",
        "Declare one, `LOOP = LabelLoop(...)`, in a module of your roots; "
        "docs/guide/labeling.md shows how.",
    )


def test_collecting_before_anybody_was_asked_says_so(queue: LabelQueue):
    with at_hand(loop()):
        found = refused(label_collect, loop="fruit")

    assert found == (
        "No batch of loop 'fruit' has ended: nobody was asked yet.",
        "Ask with `headrace run label_round -p loop=fruit`, and answer at the address that it "
        "reports.",
    )


def test_collecting_a_batch_that_is_being_answered_says_so(queue: LabelQueue):
    with at_hand(loop()):
        ran(label_round, loop="fruit")
        batch = queue.batches(task="fruit")[0].id

        found = refused(label_collect, batch=batch)

    assert found == (
        f"Batch {batch} of task 'fruit' is still being answered: 0 of 20 items are done.",
        f"Wait until it is complete, or end it with `headrace label close {batch} --reason ...`.",
    )


def test_a_schema_that_changed_under_an_open_batch_is_refused(queue: LabelQueue):
    with at_hand(loop()):
        ran(label_round, loop="fruit")
    batch = queue.batches(task="fruit")[0]
    labels = LabelSchema(choices=("apple", "grape", "lemon", "other"))
    changed = loop(task=TASK.model_copy(update={"labels": labels}))

    with at_hand(changed):
        found = refused(label_round, loop="fruit")

    assert found == (
        f"The schema of task 'fruit' is now version {labels.version}, but batch {batch.id} is "
        f"being answered by version {batch.schema_version}; votes of both never mix.",
        f"End the batch with `headrace label close {batch.id} --reason ...`, or take the "
        "change of the schema back until it is complete.",
    )


def test_a_batch_that_no_loop_asked_for_is_left_to_whoever_asked(queue: LabelQueue):
    item = NewItem(entity="n1", as_of=datetime(2024, 5, 1, tzinfo=UTC), shown={"text": "sour"})
    batch = queue.request(TASK, [item], key="0" * 64)
    queue.close(batch.id, why="enough")

    left = ran(label_collect, batch=batch.id)["leave_alone"].document

    assert left == {"passed": True, "task": "fruit", "batch": batch.id}


def test_a_batch_whose_loop_is_not_found_any_more_is_not_passed_over(queue: LabelQueue):
    with at_hand(loop()):
        ran(label_round, loop="fruit")
    batch = queue.close(queue.batches(task="fruit")[0].id, why="enough")

    found = refused(label_collect, batch=batch.id)

    assert found == (
        "There is no labeling loop 'fruit'. There are none.",
        f"It asked for batch {batch.id}. Start the runner where `headrace.toml` names its root, or "
        f"declare it again, then `headrace run label_collect -p batch={batch.id}`.",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"task": TASK.model_copy(update={"labels": LabelSchema(kind="span", choices=("x",))})},
            "Loop 'fruit': answers are of the kind 'span', of which no model is trained or "
            "compared here, so there is nothing to choose items by and no round to stop at.",
            id="kind",
        ),
        pytest.param(
            {"batch": 1}, "Loop 'fruit': `batch` is 1; it has to be at least 2.", id="batch"
        ),
        pytest.param(
            {"random_share": 0.0},
            "Loop 'fruit': `random_share` is 0; it has to be between 0 and 1: there is no judging "
            "without.",
            id="no random slice",
        ),
        pytest.param(
            {"grants": "package:x/*"},
            "Loop 'fruit': `grants` is the text 'package:x/*', not a list.",
            id="grants",
        ),
    ],
)
def test_a_loop_that_cannot_work_is_refused_where_it_is_declared(changes: Any, said: str):
    with pytest.raises(DefinitionError) as caught:
        loop(**changes)

    assert caught.value.problem == said


def test_a_pool_that_takes_something_is_refused():
    with pytest.raises(DefinitionError, match=r"`pool` is .*, not a function that takes nothing"):
        loop(pool=fruit_of)


def test_what_is_wrong_in_the_pool_is_said_with_its_own_line(queue: LabelQueue):
    with at_hand(loop(pool=_misspelt)):
        found = label_round.plan(loop="fruit").problems

    assert "cuont" in found[0].problem
    assert found[0].location.file.endswith("test_loop.py")


def test_a_pool_of_other_items_than_the_tasks_is_refused(queue: LabelQueue):
    other = loop(task=TASK.model_copy(update={"entity": "text"}))

    with at_hand(other):
        found = label_round.plan(loop="fruit").problems

    assert found[0].problem == (
        "The items of loop 'fruit' are told apart by 'text', but the columns of the role "
        "\"entity\" in its pool are: 'note'. What follows in the flow could not be checked."
    )


def test_too_few_raters_are_refused(queue: LabelQueue):
    with pytest.raises(DefinitionError) as caught:
        run_loop(loop(), {"ada": rater()})

    assert str(caught.value) == (
        "2 raters are to answer each item, but 1 are given.\n"
        "  Fix: Give more raters, or a task with a smaller `overlap`."
    )


def test_a_round_that_a_person_has_to_approve_asks_nobody_before(queue: LabelQueue):
    with at_hand(loop(approve=True)):
        run = label_round.run(loop="fruit")

    assert run.state == "paused"
    assert queue.batches() == []


def test_who_approves_a_round_is_told_what_it_takes_of_people(queue: LabelQueue):
    declared = loop(
        approve=True, gold=know_notes, audit=2, budget_hours=2.0, rate_per_hour=36.0, currency="EUR"
    )
    with at_hand(declared):
        first = label_round.run(loop="fruit")
    run_loop(declared, RATERS, rounds=1)
    with at_hand(declared):
        second = label_round.run(loop="fruit")

    asked = [Session.of_settings().lineage.approvals(r.id)[0].question for r in (first, second)]
    assert asked[0].startswith(
        "Ask people to label 'fruit', round 1?\n\n"
        "- at most 20 items, 2 of doubtful label, 2 whose answer is known; 48 answers in all\n"
        "- how long an answer takes is not known yet\n"
    )
    assert (
        "- about 4 minutes, at 5.0 s an answer so far, or 2.40 EUR; 0.06 of 2 hours are spent\n"
    ) in asked[1]


def test_flows_read_what_the_loop_is_granted_and_no_other(queue: LabelQueue):
    granted = dataclasses.replace(loop(), grants=("package:notes/*",))

    with at_hand(granted):
        assert label_round.plan(loop="fruit").grants == ("package:notes/*",)
    with at_hand(loop()):
        assert label_round.plan(loop="fruit").grants == ()


def _played() -> LabelLoop:
    return loop(gold=know_notes, batch=16)


def _answer_some(queue: LabelQueue, votes: int) -> None:
    for number in range(votes):
        claim = queue.claim("fruit", "ada" if number % 2 else "bob")
        assert claim is not None
        queue.vote(
            claim.lease, "ada" if number % 2 else "bob", fruit_of(claim.shown), request=str(number)
        )


def _zest(row: Any) -> str | None:
    return "lemon" if "zest" in row["text"] else None


def _no_notes() -> Any:
    return write_notes(count=0)


def _few_notes() -> Any:
    return write_notes(count=24)


def _misspelt() -> Any:
    return write_notes(cuont=3)
