"""Tests of asking people for labels, and of collecting what they answer."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Report, Table, flow
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError, UnknownNameError
from headrace.labels.items import NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.schemas import Col, Schema
from headrace.settings import settings, using_settings
from operators._label_gold import gold_stands_out, mixed
from operators._label_items import plain
from operators.collect_labels import collect_labels
from operators.request_labels import request_labels

WRITTEN = datetime(2024, 5, 1, 8, tzinfo=UTC)


class Message(Schema, Protocol):
    """These are messages, with what nobody but their reader may see."""

    message: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature", known_at="written_at")]
    phone: Annotated[str | None, Col(sensitivity="personal")]
    written_at: Annotated[datetime, Col(role="decision_time")]


class Undated(Schema, Protocol):
    """These are messages of which nobody knows when they were written."""

    message: Annotated[str, Col(role="entity")]
    text: str


class Known(Schema, Protocol):
    """These are messages whose topic is known."""

    message: Annotated[str, Col(role="entity")]
    text: str
    topic: Annotated[str, Col(role="label")]


TOPICS = LabelTask(
    name="topic",
    labels=LabelSchema(choices=("order", "refund")),
    entity="message",
    show=("text",),
    overlap=2,
    gold_share=0.25,
)


@pytest.fixture
def queue(tmp_path: Any) -> Iterator[LabelQueue]:
    """Return the queue of an empty home."""
    with using_settings(home=tmp_path / "home"):
        yield LabelQueue()


def messages(count: int = 3, **columns: list[Any]) -> Table[Message]:
    """Return messages m0, m1, … an hour apart."""
    return Table[Message].of(
        {
            "message": [f"m{i}" for i in range(count)],
            "text": [f"text {i}" for i in range(count)],
            "phone": [f"+1 555 {i}" for i in range(count)],
            "written_at": [WRITTEN + timedelta(hours=i) for i in range(count)],
            **columns,
        }
    )


def undated(count: int = 3) -> Table[Undated]:
    """Return messages m0, m1, … without a time."""
    return Table[Undated].of(
        {"message": [f"m{i}" for i in range(count)], "text": [f"text {i}" for i in range(count)]}
    )


def known(count: int = 8, topic: str = "order") -> Table[Known]:
    """Return messages g0, g1, … whose topic is known."""
    return Table[Known].of(
        {
            "message": [f"g{i}" for i in range(count)],
            "text": [f"gold {i}" for i in range(count)],
            "topic": [topic] * count,
        }
    )


def answer(queue: LabelQueue, rater: str, said: str | None, most: int = 1_000) -> None:
    """Let a rater answer the same to all that they are given."""
    for _ in range(most):
        claim = queue.claim("topic", rater)
        if claim is None:
            return
        if said is None:
            queue.skip(claim.lease, rater, why="no text", request=uuid.uuid4().hex)
        else:
            queue.vote(claim.lease, rater, said, ms=2_500, request=uuid.uuid4().hex)


def test_raters_see_the_columns_of_the_task_and_no_others(queue: LabelQueue):
    report = request_labels(messages(), task=TOPICS)

    items = queue.items(report.document["batch"])
    assert [item.shown for item in items] == [{"text": f"text {i}"} for i in range(3)]
    claim = queue.claim("topic", "ada")
    assert claim is not None
    assert claim.shown == {"text": "text 0"}


def test_the_report_says_where_people_answer_and_how_much(queue: LabelQueue):
    with using_settings(labels_port=8611, home=settings().home):
        said = request_labels(messages(), task=TOPICS).document

    assert said["url"] == "http://127.0.0.1:8611/label/topic"
    assert (said["items"], said["wanted"], said["gold"], said["overlap"]) == (3, 6, 0, 2)
    assert said["slices"] == {"chosen": 3}
    assert said["passed"] is True


def test_what_is_shown_is_as_of_the_decision(queue: LabelQueue):
    report = request_labels(messages(), task=TOPICS)

    items = queue.items(report.document["batch"])
    assert [item.as_of for item in items] == [WRITTEN + timedelta(hours=i) for i in range(3)]


def test_rows_without_a_time_are_as_of_the_first_request(queue: LabelQueue):
    first, later = WRITTEN, WRITTEN + timedelta(days=1)

    with using_clock(VirtualClock(first)):
        asked = request_labels(undated(), task=TOPICS)
    with using_clock(VirtualClock(later)):
        again = request_labels(undated(), task=TOPICS)

    assert again.digest == asked.digest
    assert {item.as_of for item in queue.items(asked.document["batch"])} == {first}


def test_the_same_rows_are_asked_for_once(queue: LabelQueue):
    reports = [request_labels(messages(), known(), task=TOPICS) for _ in range(3)]

    assert len({report.digest for report in reports}) == 1
    assert len(queue.batches(task="topic")) == 1


def test_the_same_rows_in_another_order_are_the_same_batch(queue: LabelQueue):
    rows = messages()
    turned = Table[Message].of(rows.arrow().take([2, 0, 1]))

    first, second = (request_labels(each, known(), task=TOPICS) for each in (rows, turned))

    assert second.digest == first.digest


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"selected": messages(4)}, id="another row"),
        pytest.param({"selected": messages(3, text=["new", "text 1", "text 2"])}, id="a text"),
        pytest.param({"gold": known()}, id="gold"),
        pytest.param({"task": TOPICS.model_copy(update={"overlap": 1})}, id="terms"),
        pytest.param(
            {"selected": messages(3, written_at=[WRITTEN - timedelta(days=1)] * 3)}, id="a time"
        ),
    ],
)
def test_anything_else_is_another_batch(queue: LabelQueue, other: dict[str, Any]):
    asked = {"selected": messages(), "task": TOPICS}

    one, two = request_labels(**asked), request_labels(**{**asked, **other})

    assert one.document["batch"] != two.document["batch"]


def test_a_name_for_the_request_makes_it_one_whatever_the_rows(queue: LabelQueue):
    one = request_labels(messages(), task=TOPICS, once="round 1")
    two = request_labels(messages(5), task=TOPICS, once="round 1")

    assert one.digest == two.digest
    assert two.document["items"] == 3


def test_a_batch_is_reported_alike_before_and_after_it_is_answered(queue: LabelQueue):
    before = request_labels(messages(), known(), task=TOPICS)
    answer(queue, "ada", "order")
    answer(queue, "bob", "refund")

    after = request_labels(messages(), known(), task=TOPICS)

    assert queue.batch(before.document["batch"]).status == "complete"
    assert after.digest == before.digest


def test_slices_priorities_and_suggestions_come_from_the_selection(queue: LabelQueue):
    chosen = undated(2).frame()
    chosen["slice"], chosen["priority"] = ["random", "audit"], [0.25, 0.75]
    chosen["suggested"], chosen["suggested_by"] = [None, "refund"], [None, "model:3f2a"]
    chosen["confidence"] = [None, 0.9]

    report = request_labels(Table.of(chosen), task=TOPICS)

    items = [
        (i.entity, i.slice, i.priority, i.suggested, i.suggested_by, i.confidence)
        for i in queue.items(report.document["batch"])
    ]
    assert items == [
        ("m1", "audit", 0.75, "refund", "model:3f2a", 0.9),
        ("m0", "random", 0.25, None, None, None),
    ]


def test_gold_is_mixed_in_by_its_share_and_not_to_be_told_from_the_rest(queue: LabelQueue):
    report = request_labels(messages(12), known(), task=TOPICS)

    items = queue.items(report.document["batch"])
    gold = [item for item in items if item.slice == "gold"]
    assert len(items) == 16
    assert len(gold) == 4
    assert {item.gold for item in gold} == {"order"}
    assert all(set(item.shown) == {"text"} for item in items)


def test_wrong_gold_is_refused_and_names_the_items(queue: LabelQueue):
    with pytest.raises(DataError) as caught:
        request_labels(messages(), known(2, topic="ordre"), task=TOPICS)

    assert str(caught.value) == (
        "Gold of task 'topic' has 2 wrong labels of 2. 'g0': The answer 'ordre' is none of the "
        "choices. Did you mean 'order'? 'g1': The answer 'ordre' is none of the choices. Did you "
        "mean 'order'?\n"
        "  Fix: Correct these labels, or leave the items out; nothing was asked for."
    )
    assert queue.tasks() == []


def test_no_rows_are_refused(queue: LabelQueue):
    with pytest.raises(DataError) as caught:
        request_labels(messages(0), task=TOPICS)

    assert str(caught.value) == (
        "Task 'topic' is given no rows to ask for.\n"
        "  Fix: Select some first, or ask only `when` there are any."
    )


def test_a_slice_that_there_is_not_is_refused(queue: LabelQueue):
    rows = undated(1).frame().assign(slice="north")

    with pytest.raises(DataError, match="Item 'm0' has the slice 'north'"):
        request_labels(Table.of(rows), task=TOPICS)


def test_a_column_that_the_table_lacks_is_found_in_the_plan(queue: LabelQueue):
    task = TOPICS.model_copy(update={"show": ("txet",)})

    @flow
    def ask() -> Report:
        """Ask."""
        return request_labels(messages(), task=task)

    problems = ask.plan().problems
    assert [(p.rule, p.problem) for p in problems] == [
        (
            "unknown column",
            "'given' → 'request_labels:topic.selected': Task 'topic' shows raters 'txet': Schema "
            "'Message' has no column 'txet'. Did you mean 'text'?",
        )
    ]


def test_our_page_does_not_ask_for_spans_and_the_plan_says_so(queue: LabelQueue):
    task = TOPICS.model_copy(update={"labels": LabelSchema(kind="span", choices=("name",))})

    @flow
    def ask() -> Report:
        """Ask."""
        return request_labels(messages(), task=task)

    assert ask.plan().problems[0].problem == (
        "'request_labels:topic': Our own page cannot ask for answers of the kind 'span', as task "
        "'topic' does."
    )


def test_votes_are_collected_in_an_order_of_their_own(queue: LabelQueue):
    report = request_labels(messages(), task=TOPICS)
    answer(queue, "bob", "refund")
    answer(queue, "ada", "order")

    votes, said = collect_labels([report], task=TOPICS)

    rows = votes.frame()
    assert list(zip(rows["entity"], rows["rater"], rows["label"], strict=True)) == [
        ("m0", "ada", "order"),
        ("m0", "bob", "refund"),
        ("m1", "ada", "order"),
        ("m1", "bob", "refund"),
        ("m2", "ada", "order"),
        ("m2", "bob", "refund"),
    ]
    assert set(rows["seconds"]) == {2.5}
    assert set(rows["batch"]) == {report.document["batch"]}
    assert (said.document["votes"], said.document["raters"], said.document["seconds"]) == (6, 2, 15)
    assert said.passed


def test_collecting_again_gives_the_same_digest(queue: LabelQueue):
    report = request_labels(messages(), task=TOPICS)
    answer(queue, "ada", "order")
    answer(queue, "bob", "order")

    digests = {
        collect_labels([report], task=TOPICS)[0].digest,
        collect_labels(task="topic")[0].digest,
        collect_labels(task="topic", batches=(report.document["batch"][:6],), until="now")[
            0
        ].digest,
    }

    assert len(digests) == 1


def test_a_batch_that_is_being_answered_is_refused_unless_one_takes_what_is_there(
    queue: LabelQueue,
):
    report = request_labels(messages(), task=TOPICS)
    answer(queue, "ada", "order", most=2)
    batch = report.document["batch"]

    with pytest.raises(DataError) as caught:
        collect_labels([report], task=TOPICS)

    assert str(caught.value) == (
        f"Batch {batch} of task 'topic' is still being answered: 0 of 3 items are done.\n"
        f"  Fix: Wait, end it with `headrace label close {batch} --reason ...`, or take what is "
        'there: `until="now"`.'
    )
    votes, said = collect_labels([report], task=TOPICS, until="now")
    assert votes.rows == 2
    assert not said.passed


def test_a_deadline_that_passed_ends_a_batch_before_it_is_collected(queue: LabelQueue):
    with using_clock(VirtualClock(WRITTEN)):
        report = request_labels(messages(), task=TOPICS, deadline_hours=1)
        answer(queue, "ada", "order", most=1)

    with using_clock(VirtualClock(WRITTEN + timedelta(hours=2))):
        votes, said = collect_labels([report], task=TOPICS)

    assert votes.rows == 1
    assert said.document["batches"][0]["status"] == "closed"


def test_skips_are_collected_without_a_label(queue: LabelQueue):
    report = request_labels(messages(1), task=TOPICS)
    answer(queue, "ada", None)
    answer(queue, "bob", "order")
    answer(queue, "cyd", "order")

    votes, said = collect_labels([report], task=TOPICS)

    rows = votes.frame().set_index("rater")
    assert rows.loc["ada", "skipped"] == "no text"
    assert rows.loc["ada", "label"] is None
    assert (said.document["votes"], said.document["skips"]) == (2, 1)


def test_votes_by_another_schema_are_left_out(queue: LabelQueue):
    request_labels(messages(), task=TOPICS)
    answer(queue, "ada", "order")
    answer(queue, "bob", "order")
    wider = TOPICS.model_copy(update={"labels": LabelSchema(choices=("order", "refund", "other"))})

    votes, said = collect_labels(task=wider)

    assert votes.rows == 0
    assert (said.document["other_versions"], said.passed) == (1, False)


def test_a_batch_by_another_schema_is_refused_when_it_is_named(queue: LabelQueue):
    report = request_labels(messages(), task=TOPICS)
    wider = TOPICS.model_copy(update={"labels": LabelSchema(choices=("order", "refund", "other"))})

    with pytest.raises(DataError, match="votes of both never mix"):
        collect_labels([report], task=wider)


def test_a_batch_that_there_is_not_is_named_with_the_nearest(queue: LabelQueue):
    batch = request_labels(messages(), task=TOPICS).document["batch"]

    with pytest.raises(UnknownNameError) as caught:
        collect_labels(task="topic", batches=(batch[:-1] + "x",))

    assert f"Did you mean '{batch}'?" in str(caught.value)


def test_votes_descend_from_what_was_asked(queue: LabelQueue):
    @flow
    def ask() -> Report:
        """Ask."""
        return request_labels(messages(), task=TOPICS)

    @flow
    def collect(*, request: Report) -> Any:
        """Collect."""
        return collect_labels([request], task=TOPICS)

    asked = ask.run().returned()
    answer(queue, "ada", "order")
    answer(queue, "bob", "order")
    votes, _ = collect.run(request=request_labels(messages(), task=TOPICS)).returned()

    from headrace.execution import Session

    graph = Session.of_settings().lineage.closure(votes.digest, "up")
    labels = [node.label for node in graph.nodes]
    assert asked.digest in {node.id for node in graph.nodes}
    assert labels.index("operators.request_labels.request_labels") < labels.index("Report")
    assert labels[-1] == "Votes"


@given(
    count=st.integers(1, 40),
    gold=st.integers(0, 40),
    share=st.floats(0, 0.9),
)
def test_gold_never_passes_its_share_by_more_than_an_item_and_loses_nothing(
    count: int, gold: int, share: float
):
    def item(name: str, slice_: Any) -> NewItem:
        return NewItem(entity=name, as_of=WRITTEN, shown={}, slice=slice_)

    asked = [item(f"m{i}", "chosen") for i in range(count)]
    found = mixed(asked, [item(f"g{i}", "gold") for i in range(gold)], share=share)

    taken = [each for each in found if each.slice == "gold"]
    assert [each for each in found if each.slice != "gold"] == asked
    assert len(taken) <= max(1, math.ceil(share * len(found)))
    assert len(taken) <= gold
    assert (len(taken) == 0) == (gold == 0 or share == 0)


@pytest.mark.parametrize(
    ("of_gold", "of_others", "stands_out"),
    [
        pytest.param(None, "order", True, id="others alone have suggestions"),
        pytest.param("refund", "order", False, id="both have"),
        pytest.param(None, None, False, id="nobody has"),
    ],
)
def test_gold_without_suggestions_stands_out_where_others_have_some(
    of_gold: str | None, of_others: str | None, stands_out: bool
):
    def item(name: str, suggested: str | None, **gold: Any) -> NewItem:
        return NewItem(entity=name, as_of=WRITTEN, shown={}, suggested=suggested, **gold)

    gold = item("g", of_gold, slice="gold", gold="order")

    assert gold_stands_out([item("m", of_others), item("n", None), gold]) is stands_out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, None),
        (math.inf, None),
        (1.5, 1.5),
        (True, True),
        (2**60, str(2**60)),
        (WRITTEN, "2024-05-01T08:00:00+00:00"),
        (WRITTEN.date(), "2024-05-01"),
        (timedelta(minutes=2), 120.0),
        ([1, None, {"a": math.nan}], [1, None, {"a": None}]),
    ],
)
def test_cells_are_shown_as_json(value: Any, shown: Any):
    assert plain(value) == shown


def test_bytes_are_not_shown():
    with pytest.raises(DataError, match="A value of type bytes cannot be shown to raters"):
        plain(b"\x00")
