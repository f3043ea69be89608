"""What people answered in another back-end is taken over once, however often it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from headrace.errors import DataError, ParameterError
from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import ForeignVote, LabelQueue, Refused
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TASK = LabelTask(
    name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=2
)


@pytest.fixture
def batch(queue: LabelQueue) -> Batch:
    items = [NewItem(entity=e, as_of=NOON, shown={"e": e}) for e in "ab"]
    key = sha256(b"foreign").hexdigest()
    return queue.request(TASK, items, key=key, backend="labelstudio", external={"project": 1})


def said(rater: str, label: str | None, request: str, item: int = 1) -> ForeignVote:
    return ForeignVote(
        item=item,
        rater=rater,
        label=label,
        skipped=None,
        seconds=2.0,
        at=NOON,
        suggestion_shown=False,
        request=request,
    )


def figures(recorded) -> tuple[int, int, int, int, int]:
    return (
        recorded.recorded,
        recorded.superseded,
        recorded.withdrawn,
        recorded.repeated,
        len(recorded.over),
    )


def labels(queue: LabelQueue, batch: Batch) -> list[tuple[str, str | None]]:
    return [(vote.rater, vote.label) for vote in queue.votes(batch=batch.id)]


def test_what_is_told_twice_is_recorded_once(queue, batch):
    votes = [said("ada", "yes", "r1"), said("bob", "no", "r2")]

    first, again = queue.record(batch.id, votes), queue.record(batch.id, votes)

    assert figures(first) == (2, 0, 0, 0, 0)
    assert figures(again) == (0, 0, 0, 2, 0)
    assert labels(queue, batch) == [("ada", "yes"), ("bob", "no")]
    assert (again.batch.votes, again.batch.done) == (2, 1)


def test_a_changed_answer_supersedes_also_one_that_goes_back(queue, batch):
    for label, request in (("yes", "r1"), ("no", "r2"), ("yes", "r3")):
        last = queue.record(batch.id, [said("ada", label, request)])
    same = queue.record(batch.id, [said("ada", "yes", "r4")])

    assert figures(last) == (0, 1, 0, 0, 0)
    assert figures(same) == (0, 0, 0, 1, 0)
    assert labels(queue, batch) == [("ada", "yes")]
    assert queue.batch(batch.id).votes == 1


def test_more_answers_than_wanted_are_not_recorded_but_named(queue, batch):
    votes = [said("ada", "yes", "r1"), said("bob", "no", "r2"), said("eve", "no", "r3")]

    recorded = queue.record(batch.id, votes)

    assert recorded.over == (votes[2],)
    assert labels(queue, batch) == [("ada", "yes"), ("bob", "no")]


def test_an_answer_that_was_taken_back_reopens_the_batch(queue, batch):
    given = [said(r, "yes", f"{r}{i}", item=i) for r in ("ada", "bob") for i in (1, 2)]
    complete = queue.record(batch.id, given)

    withdrawn = queue.record(batch.id, [said("ada", None, "w1")])
    again = queue.record(batch.id, [said("ada", "no", "r9")])

    assert complete.batch.status == "complete"
    assert figures(withdrawn) == (0, 0, 1, 0, 0)
    assert withdrawn.batch.status == "open"
    assert again.batch.status == "complete"
    assert len(queue.notices()) == 2


def test_a_skip_takes_no_place(queue, batch):
    skip = replace(said("ada", None, "s1"), skipped="not readable")

    queue.record(batch.id, [skip, said("bob", "yes", "r1"), said("eve", "yes", "r2")])

    found = queue.batch(batch.id)
    assert (found.votes, found.skips, found.done) == (2, 1, 1)


def test_one_wrong_answer_has_none_of_them_recorded(queue, batch):
    with pytest.raises(DataError) as choice:
        queue.record(batch.id, [said("ada", "yes", "r1"), said("bob", "maybe", "r2")])
    with pytest.raises(DataError) as item:
        queue.record(batch.id, [said("ada", "yes", "r1"), said("bob", "no", "r2", item=77)])

    assert choice.value.problem.startswith("The answer 'maybe' is none of the choices.")
    assert item.value.problem == (
        f"Batch '{batch.id}' has no item 77, which 'bob' is said to have answered."
    )
    assert labels(queue, batch) == []


def test_nothing_is_recorded_after_the_end_or_of_a_batch_of_our_own(queue, batch):
    queue.close(batch.id, why="enough")
    local = queue.request(
        TASK, [NewItem(entity="z", as_of=NOON, shown={"e": "z"})], key=sha256(b"l").hexdigest()
    )

    with pytest.raises(Refused) as closed:
        queue.record(batch.id, [said("ada", "yes", "r1")])
    with pytest.raises(ParameterError):
        queue.record(local.id, [said("ada", "yes", "r1", item=3)])

    assert closed.value.reason == "batch_closed"
    assert queue.votes() == []


def test_such_a_batch_is_not_asked_on_our_page_and_says_what_it_is_called_there(queue, batch):
    referred = queue.refer(batch.id, {"project": 7, "url": "http://x"})

    assert queue.claim("t", "ada") is None
    assert referred.external == {"project": 7, "url": "http://x"}
    assert queue.batch(batch.id).external == referred.external


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_a_time_that_is_no_number_is_refused_as_a_whole(queue, batch, seconds):
    vote = replace(said("bob", "no", "r2"), seconds=seconds)

    with pytest.raises(ParameterError) as error:
        queue.record(batch.id, [said("ada", "yes", "r1"), vote])

    assert error.value.problem == f"An answer cannot have taken {seconds} seconds."
    assert queue.votes(batch=batch.id) == []
