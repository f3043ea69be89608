"""Raters come and go: what nobody is left to answer is set aside or told of; no vote is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from headrace.clock import VirtualClock
from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue, Refused
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TASK = LabelTask(
    name="t",
    labels=LabelSchema(choices=("yes", "no")),
    entity="e",
    show=("e",),
    overlap=2,
    lease_seconds=60,
)


@pytest.fixture
def team(database: Database, clock: VirtualClock) -> Raters:
    raters = Raters(database)
    for name in ("ada", "bob"):
        raters.add(name)
    return raters


def asked(queue: LabelQueue, items: int = 1, **changes: Any) -> Batch:
    given = [NewItem(entity=f"e{n}", as_of=NOON, shown={"e": n}) for n in range(items)]
    task = TASK.model_copy(update=changes)
    return queue.request(task, given, key=sha256(repr((items, changes)).encode()).hexdigest())


def give(queue: LabelQueue, rater: str, answer: str = "yes") -> None:
    claim = queue.claim("t", rater)
    assert claim is not None
    if answer == "skip":
        queue.skip(claim.lease, rater, why="odd", request=claim.lease)
    else:
        queue.vote(claim.lease, rater, answer, request=claim.lease)


def standing(queue: LabelQueue, batch: Batch) -> tuple[str, int, int, int]:
    found = queue.batch(batch.id)
    assert found.votes + found.skips == len(queue.votes(batch=batch.id))
    return found.status, found.done, found.votes, found.skips


def test_an_item_that_all_who_are_left_answered_or_skipped_is_set_aside_when_a_rater_goes(
    queue, team
):
    team.add("eve")
    batch = asked(queue)
    give(queue, "ada")
    give(queue, "bob", "skip")
    before = standing(queue, batch)

    team.revoke("eve")

    assert before == ("open", 0, 1, 1)
    assert standing(queue, batch) == ("complete", 1, 1, 1)
    assert [notice.event for notice in queue.notices()] == ["headrace.labels.completed"]
    assert queue.stranded(batch.id) is None


def test_a_skip_of_the_last_rater_who_is_left_sets_the_item_aside(queue, team):
    batch = asked(queue)
    give(queue, "ada")
    team.revoke("ada")

    give(queue, "bob", "skip")

    assert standing(queue, batch) == ("complete", 1, 1, 1)


def test_what_too_few_are_left_for_waits_and_is_told_with_the_remedy(queue, team):
    batch = asked(queue, 3)
    for _ in range(2):
        give(queue, "ada")
    whole = queue.stranded(batch.id)

    team.revoke("bob")

    found = queue.stranded(batch.id)
    assert whole is None
    assert standing(queue, batch) == ("open", 0, 2, 0)
    assert (found.items, found.short, found.lacking) == (2, 1, 1)
    assert (found.problem, found.remedy) == (
        "nobody is left to answer 2 items and 1 item cannot get all votes",
        "Add a rater: `headrace label raters add NAME`; or end it as it is: "
        f"`headrace label close {batch.id} --reason ...`.",
    )


def test_of_a_task_that_names_its_raters_it_is_said_who_has_to_come_back(queue, team):
    batch = asked(queue, raters=("ada", "bob"))
    team.add("eve")
    give(queue, "ada")

    team.revoke("bob")
    found = queue.stranded(batch.id)
    team.rotate("bob")

    assert (found.items, found.short) == (1, 0)
    assert found.remedy == (
        "Only raters whom the task names may answer. Give a token again: `headrace label raters "
        f"rotate bob`; or end it as it is: `headrace label close {batch.id} --reason ...`."
    )
    assert queue.stranded(batch.id) is None


def test_somebody_who_comes_opens_what_was_set_aside_while_the_batch_is_open(queue, team):
    batch = asked(queue, 2)
    give(queue, "ada")
    give(queue, "bob", "skip")
    before, nothing = standing(queue, batch), queue.claim("t", "bob").shown

    team.add("eve")

    assert (before, nothing) == (("open", 1, 1, 1), {"e": 1})
    assert standing(queue, batch) == ("open", 0, 1, 1)
    assert queue.claim("t", "eve").shown == {"e": 0}


def test_a_batch_that_is_complete_stays_so_and_an_undo_opens_it_for_who_came_since(queue, team):
    batch = asked(queue, 2)
    for rater, answer in (("ada", "yes"), ("bob", "skip"), ("ada", "yes"), ("bob", "yes")):
        give(queue, rater, answer)
    team.add("eve")
    complete = standing(queue, batch)

    queue.undo("bob", "t", request="u")

    assert complete == ("complete", 2, 3, 1)
    assert standing(queue, batch) == ("open", 0, 2, 1)


def test_what_a_rater_held_is_free_at_once_and_their_session_over(queue, team, clock):
    session = team.sign_in(team.rotate("ada"))
    asked(queue, overlap=1)
    held = queue.claim("t", "ada")
    nothing = queue.claim("t", "bob")

    team.revoke("ada")

    assert (held.shown, nothing) == ({"e": 0}, None)
    assert queue.claim("t", "bob").shown == {"e": 0}
    assert team.session(session.cookie) is None
    with pytest.raises(Refused) as late:
        queue.vote(held.lease, "ada", "yes", request="r")
    assert late.value.reason == "lease_unknown"


def test_the_look_for_late_batches_sets_aside_what_nobody_is_left_for(queue, team, database):
    team.add("eve")
    batch = asked(queue)
    give(queue, "ada")
    give(queue, "bob", "skip")
    with database.writing() as connection:  # as an earlier Headrace took tokens away
        connection.execute(text("UPDATE label_rater SET revoked_at = created_at WHERE name='eve'"))

    closed = queue.expire()

    assert closed == []
    assert standing(queue, batch)[0] == "complete"


def test_nothing_is_said_where_nobody_knows_who_the_raters_are(queue, clock):
    batch = asked(queue)
    give(queue, "a function")

    assert queue.stranded(batch.id) is None


def test_batches_come_newest_first_also_after_a_clock_was_put_back(queue):
    from headrace.clock import using_clock

    first = asked(queue)
    with using_clock(VirtualClock(NOON - timedelta(days=1))):
        second = asked(queue, 2)

    assert queue.batches("t") == [second, first]


def test_where_nobody_knows_who_may_still_come_a_new_rater_completes_nothing(queue, team):
    """Two functions answered, and one of them is made a rater: another function may follow."""
    batch = asked(queue)
    give(queue, "f1", "skip")
    give(queue, "f2")

    team.add("f2")

    assert standing(queue, batch) == ("open", 0, 1, 1)
    give(queue, "f3")
    assert standing(queue, batch) == ("complete", 1, 2, 1)
