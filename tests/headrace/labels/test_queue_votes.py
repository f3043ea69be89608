"""What the queue promises raters, on SQLite; `tests/services` asks the same of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select

from headrace.clock import VirtualClock
from headrace.errors import DataError
from headrace.labels.claiming import CANDIDATES
from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue, Refused
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.tables import label_part
from headrace.labels.task import LabelTask

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NEWS = LabelTask(
    name="news",
    labels=LabelSchema(choices=("business", "politics", "sport")),
    entity="document",
    show=("title", "text"),
    overlap=2,
    lease_seconds=60,
)
ONE = NEWS.model_copy(update={"overlap": 1})
Ask = Callable[..., Batch]


@pytest.fixture
def ask(queue: LabelQueue) -> Ask:
    def asked(task: LabelTask = NEWS, items: Any = 3, **more: Any) -> Batch:
        given = [item(f"d{n}") for n in range(1, items + 1)] if isinstance(items, int) else items
        key = more.pop("key", None) or sha256(repr((task, given, more)).encode()).hexdigest()
        return queue.request(task, given, key=key, **more)

    return asked


def item(entity: str, **more: Any) -> NewItem:
    shown = {"title": entity.upper(), "text": f"About {entity}."}
    return replace(NewItem(entity=entity, as_of=NOON, shown=shown), **more)


def later(clock: VirtualClock, seconds: float) -> None:
    clock.advance_to(clock.now() + timedelta(seconds=seconds))


def vote(queue: LabelQueue, rater: str, answer: str = "sport", task: str = "news") -> Any:
    claim = queue.claim(task, rater)
    assert claim is not None
    return queue.vote(claim.lease, rater, answer, request=f"{rater}/{claim.lease}")


def answers(queue: LabelQueue, batch: Batch) -> list[tuple[str, str, str | None]]:
    return [(v.entity, v.rater, v.label) for v in queue.votes(batch=batch.id)]


def refusal(call: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as error:
        call()
    return error.value


def told(queue: LabelQueue) -> list[tuple[str, str]]:
    return [(each.event, each.payload["batch"]) for each in queue.notices()]


# --- claims ---


def test_a_rater_is_given_the_first_item_and_the_same_one_until_they_answer(ask: Ask, queue):
    batch = ask()

    first, again = queue.claim("news", "ada"), queue.claim("news", "ada")

    assert first == again
    assert (first.batch, first.task, first.suggested, first.vote) == (batch.id, "news", None, None)
    assert list(first.shown.items()) == [("title", "D1"), ("text", "About d1.")]
    assert first.expires_at == NOON + timedelta(seconds=60)


def test_items_are_given_by_priority_and_then_as_they_came(ask: Ask, queue):
    ask(ONE, [item("a"), item("b", priority=2), item("c"), item("d", priority=3)])

    given = [vote(queue, "ada").item for _ in range(4)]

    by_id = {each.id: each.entity for each in queue.items(queue.batches()[0].id)}
    assert [by_id[number] for number in given] == ["d", "b", "a", "c"]


def test_no_more_raters_are_given_an_item_than_are_to_answer_it(ask: Ask, queue):
    ask()

    given = [queue.claim("news", rater).shown["title"] for rater in ("ada", "bob", "eve", "joe")]

    assert given == ["D1", "D1", "D2", "D2"]


def test_a_lease_that_has_expired_frees_the_place(ask: Ask, queue, clock):
    ask(ONE)
    queue.claim("news", "ada")
    later(clock, 60)

    claim = queue.claim("news", "bob")

    assert claim.shown["title"] == "D1"
    assert queue.claim("news", "ada").shown["title"] == "D2"


def test_older_batches_come_first_and_nothing_is_left_in_the_end(ask: Ask, queue, clock):
    first = ask(ONE, 1)
    later(clock, 1)
    second = ask(ONE, [item("other")])

    batches = [queue.claim("news", "ada").batch, vote(queue, "ada") and queue.claim("news", "ada")]

    assert batches[0] == first.id
    assert batches[1].batch == second.id
    vote(queue, "ada")
    assert queue.claim("news", "ada") is None


def test_one_may_be_fetched_ahead_and_is_next_then(ask: Ask, queue):
    ask(ONE)

    first, ahead = queue.claim("news", "ada"), queue.claim("news", "ada", ahead=1)
    queue.vote(first.lease, "ada", "sport", request="r1")

    assert (first.shown["title"], ahead.shown["title"]) == ("D1", "D2")
    assert queue.claim("news", "ada") == ahead


def test_who_settles_ties_may_ask_for_an_item_by_its_number(ask: Ask, queue, database):
    for rater in ("ada", "bob"):
        Raters(database).add(rater, adjudicates=True)
    batch = ask(ONE)
    last = queue.items(batch.id)[-1].id

    claim = queue.claim("news", "ada", item=last)

    assert claim.shown["title"] == "D3"
    assert queue.claim("news", "ada", item=last) == claim
    full = refusal(lambda: queue.claim("news", "bob", item=last))
    assert (full.reason, full.problem) == (
        "item_full",
        f"Item {last} has the answers of 1 raters, or they are at it: no more are wanted.",
    )
    queue.vote(claim.lease, "ada", "sport", request="r")
    again = refusal(lambda: queue.claim("news", "ada", item=last))
    assert (again.reason, again.problem) == (
        "already_voted",
        f"'ada' has already answered item {last}.",
    )
    for unknown in (999, 2**70, -1):
        late = refusal(lambda item=unknown: queue.claim("news", "ada", item=item))
        assert late.reason == "item_unknown"


def test_nobody_else_chooses_what_they_answer(ask: Ask, queue, clock):
    batch = ask(ONE)
    last = queue.items(batch.id)[-1].id
    first = queue.claim("news", "ada")
    later(clock, 60)

    picked = refusal(lambda: queue.claim("news", "ada", item=last))
    again = queue.claim("news", "ada", item=first.item)

    assert (picked.reason, str(picked)) == (
        "not_given",
        f"Item {last} was not given to 'ada'; items are answered as they are given out.\n"
        "  Fix: Go on with the next item. Raters who settle ties may open any.",
    )
    assert (again.item, again.lease == first.lease) == (first.item, False)


def test_a_rater_with_many_votes_on_items_that_are_open_is_given_the_next_at_once(
    ask: Ask, queue, database
):
    ask(NEWS, 30)
    for _ in range(20):
        vote(queue, "ada")

    claim = queue.claim("news", "ada")

    assert claim.shown["title"] == "D21"
    with database.reading() as connection:
        part = connection.execute(select(label_part)).one()
    assert (part.passed, part.votes) == (claim.item - 1, 20)


def test_the_next_item_is_found_by_the_index_and_not_by_looking_at_all(database):
    compiled = CANDIDATES.compile(database.engine)
    given = compiled.params | {"of_batch": "b", "of_rater": "ada", "after": 7, "now": "2024-05-01"}
    values = tuple(given[name] for name in compiled.positiontup or ())

    with database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()

    steps = [row.detail for row in plan]
    assert any("label_item_next (batch=? AND open=? AND id>?)" in step for step in steps)
    assert not any(step.startswith(("SCAN", "USE TEMP B-TREE")) for step in steps)


# --- votes ---


def test_a_vote_is_kept_with_what_the_rater_saw(ask: Ask, queue, clock):
    seen = item("d1", suggested="sport", suggested_by="model:3f", confidence=0.9)
    task = NEWS.model_copy(update={"hide_suggestions": 0.0})
    batch = ask(task, [seen])
    claim = queue.claim("news", "ada")
    later(clock, 5)

    receipt = queue.vote(claim.lease, "ada", "politics", ms=4200, request="r1")

    assert (receipt.item, receipt.label, receipt.batch_status) == (claim.item, "politics", "open")
    (kept,) = queue.votes(batch=batch.id)
    assert (kept.entity, kept.label, kept.seconds, kept.number) == (
        "d1", "politics", 4.2, receipt.number,
    )  # fmt: skip
    assert (kept.at, kept.as_of) == (NOON + timedelta(seconds=5), NOON)
    assert (kept.suggested, kept.suggested_by, kept.suggestion_shown) == ("sport", "model:3f", True)
    assert (kept.schema_version, kept.source) == (NEWS.labels.version, "person")
    assert claim.suggested == "sport"


def test_a_request_sent_twice_is_one_vote_also_when_the_batch_is_over(ask: Ask, queue):
    batch = ask(ONE, 1)
    claim = queue.claim("news", "ada")

    def send() -> Any:
        return queue.vote(claim.lease, "ada", "sport", request="r1")

    first, second = send(), send()
    queue.close(batch.id, why="enough")
    third = send()

    assert first == second
    assert (first.batch_status, third.batch_status) == ("complete", "closed")
    assert replace(third, batch_status="complete") == first
    assert (queue.batch(batch.id).votes, len(queue.votes(batch=batch.id))) == (1, 1)


def test_a_request_cannot_stand_for_two_answers(ask: Ask, queue):
    ask(ONE)
    claim = queue.claim("news", "ada")
    queue.vote(claim.lease, "ada", "sport", request="r1")

    other = refusal(lambda: queue.vote(claim.lease, "ada", "politics", request="r1"))
    following = queue.claim("news", "ada")
    reused = refusal(lambda: queue.vote(following.lease, "ada", "sport", request="r1"))

    assert (other.reason, reused.reason) == ("request_reused", "request_reused")
    assert str(other) == (
        "The request 'r1' has been used before, for something else.\n  Fix: Send each answer with "
        "a request id of its own, and the same one only to repeat it."
    )
    assert queue.claim("news", "ada") == following


def test_an_unknown_choice_is_refused_and_the_item_still_held(ask: Ask, queue):
    batch = ask()
    claim = queue.claim("news", "ada")

    with pytest.raises(DataError) as error:
        queue.vote(claim.lease, "ada", "sports", request="r1")
    receipt = queue.vote(claim.lease, "ada", "sport", request="r1")

    assert str(error.value) == (
        "The answer 'sports' is none of the choices. Did you mean 'sport'?\n"
        "  Fix: Answer with one of: business, politics, sport."
    )
    assert receipt.label == "sport"
    assert answers(queue, batch) == [("d1", "ada", "sport")]


def test_a_vote_on_an_expired_lease_is_refused_and_the_item_may_be_asked_for_again(
    ask: Ask, queue, clock
):
    batch = ask(ONE)
    claim = queue.claim("news", "ada")
    later(clock, 61)

    late = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r1"))
    again = queue.claim("news", "ada", item=late.item)
    receipt = queue.vote(again.lease, "ada", "sport", request="r1")

    assert str(late) == (
        f"Item {claim.item} was kept for this rater until 2024-05-01 12:01:00 UTC; since then it "
        f"was free for others.\n  Fix: Ask for item {claim.item} again, then answer; the answer "
        "was not counted."
    )
    assert late.reason == "lease_expired"
    assert receipt.item == claim.item
    assert queue.batch(batch.id).votes == 1


def test_a_vote_on_an_expired_lease_whose_place_is_taken_says_so(ask: Ask, queue, clock):
    ask(ONE)
    claim = queue.claim("news", "ada")
    later(clock, 60)
    queue.claim("news", "bob")

    late = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r1"))

    assert str(late) == (
        f"Item {claim.item} was kept for this rater until 2024-05-01 12:01:00 UTC; since then its "
        "place is taken.\n  Fix: Ask for the next item; the answer was not counted."
    )


def test_leases_of_others_and_unknown_ones_are_refused(ask: Ask, queue):
    batch = ask()
    claim = queue.claim("news", "ada")

    theirs = refusal(lambda: queue.vote(claim.lease, "bob", "sport", request="r1"))
    unknown = refusal(lambda: queue.vote("nonsense", "bob", "sport", request="r2"))
    queue.vote(claim.lease, "ada", "sport", request="r3")
    used = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r4"))

    assert str(theirs) == (
        f"Item {claim.item} was given to another rater, not to 'bob'.\n"
        "  Fix: Ask for an item of your own; the answer was not counted."
    )
    assert str(unknown) == (
        "No item is held by the lease 'nonsense'.\n"
        "  Fix: Ask for the next item; the answer was not counted."
    )
    assert (used.reason, used.problem) == (
        "already_voted",
        f"'ada' has already answered item {claim.item}.",
    )
    assert answers(queue, batch) == [("d1", "ada", "sport")]


def test_after_a_batch_is_closed_nothing_is_given_taken_or_undone(ask: Ask, queue, clock):
    batch = ask()
    vote(queue, "ada")
    claim = queue.claim("news", "ada")
    later(clock, 1)
    queue.close(batch.id, why="we have enough")

    late = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r1"))
    skipped = refusal(lambda: queue.skip(claim.lease, "ada", why="odd", request="r2"))
    undone = refusal(lambda: queue.undo("ada", "news", request="r3"))

    assert str(late) == (
        f"Batch '{batch.id}' was closed at 2024-05-01 12:00:01 UTC: we have enough.\n"
        "  Fix: Ask for the next item; answers to this batch are not counted any more."
    )
    assert {late.reason, skipped.reason, undone.reason} == {"batch_closed"}
    assert queue.claim("news", "ada") is None
    assert answers(queue, batch) == [("d1", "ada", "sport")]


def test_raters_whom_the_task_does_not_name_or_who_were_revoked_are_refused(
    ask: Ask, queue, database
):
    raters = Raters(database)
    raters.add("ada")
    ask(NEWS.model_copy(update={"raters": ("ada", "bob")}))
    claim = queue.claim("news", "ada")
    raters.revoke("ada")

    eve = refusal(lambda: queue.claim("news", "eve"))
    ada = refusal(lambda: queue.claim("news", "ada"))
    gone = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r1"))

    assert str(eve) == (
        "'eve' is none of the raters of the task 'news'.\n"
        "  Fix: Name them in the task's `raters`, and ask for a new batch."
    )
    assert str(ada) == (
        "The token of 'ada' was taken away, so they may not label any more.\n"
        "  Fix: Give them a new one with `headrace label raters rotate ada`."
    )
    assert gone.reason == "lease_unknown"


# --- skips ---


def test_a_rater_never_sees_again_what_they_skipped_and_others_do(ask: Ask, queue):
    batch = ask()
    claim = queue.claim("news", "ada")

    receipt = queue.skip(claim.lease, "ada", why="not readable", request="s1", ms=900)

    assert (receipt.label, receipt.batch_status) == (None, "open")
    assert queue.claim("news", "ada").shown["title"] == "D2"
    assert queue.claim("news", "bob").shown["title"] == "D1"
    (kept,) = queue.votes(batch=batch.id)
    assert (kept.label, kept.skipped, kept.seconds) == (None, "not readable", 0.9)
    found = queue.batch(batch.id)
    assert (found.votes, found.skips, found.done) == (0, 1, 0)


def test_an_item_that_as_many_raters_skip_as_were_to_answer_it_is_set_aside(ask: Ask, queue):
    batch = ask(NEWS, 1)
    for rater in ("ada", "bob"):
        claim = queue.claim("news", rater)
        receipt = queue.skip(claim.lease, rater, why="odd", request=rater)

    found = queue.batch(batch.id)

    assert receipt.batch_status == found.status == "complete"
    assert (found.done, found.votes, found.skips, found.wanted) == (1, 0, 2, 2)
    assert queue.claim("news", "eve") is None


def test_an_item_is_set_aside_when_none_of_the_raters_there_are_is_left_for_it(ask: Ask, queue):
    batch = ask(NEWS.model_copy(update={"raters": ("ada", "bob")}), 1)
    claim = queue.claim("news", "ada")
    queue.skip(claim.lease, "ada", why="odd", request="s1")

    receipt = vote(queue, "bob")

    assert receipt.batch_status == "complete"
    assert (queue.batch(batch.id).votes, queue.batch(batch.id).done) == (1, 1)


def test_a_skip_needs_a_reason(ask: Ask, queue):
    ask()
    claim = queue.claim("news", "ada")

    with pytest.raises(DataError) as error:
        queue.skip(claim.lease, "ada", why=" ", request="s1")

    assert str(error.value) == (
        "An item cannot be skipped without a reason.\n"
        "  Fix: Say why, such as 'not readable'; the item is still yours."
    )
    assert queue.claim("news", "ada") == claim


# --- undo ---


def test_undo_gives_the_last_item_again_and_the_new_answer_supersedes(ask: Ask, queue, clock):
    batch = ask()
    vote(queue, "ada", "sport")
    vote(queue, "ada", "sport")
    waiting = queue.claim("news", "ada")
    later(clock, 1)

    claim = queue.undo("ada", "news", request="u1")
    same = queue.undo("ada", "news", request="u1")
    between = answers(queue, batch)
    first = queue.claim("news", "ada")
    queue.vote(claim.lease, "ada", "politics", request="r3")

    assert claim == same == first
    assert (claim.shown["title"], claim.vote) == ("D2", "sport")
    assert between == [("d1", "ada", "sport")]
    assert answers(queue, batch) == [("d1", "ada", "sport"), ("d2", "ada", "politics")]
    assert queue.claim("news", "ada") == waiting
    assert queue.batch(batch.id).votes == 2


def test_undo_of_undo_goes_further_back_and_ends_where_there_is_nothing(ask: Ask, queue):
    batch = ask()
    vote(queue, "ada")
    claim = queue.claim("news", "ada")
    queue.skip(claim.lease, "ada", why="odd", request="s1")

    second = queue.undo("ada", "news", request="u1")
    first = queue.undo("ada", "news", request="u2")
    nothing = refusal(lambda: queue.undo("ada", "news", request="u3"))

    assert [second.shown["title"], first.shown["title"]] == ["D2", "D1"]
    assert str(nothing) == (
        "'ada' has no answer in the task 'news' that could be undone.\n"
        "  Fix: Go on with the next item."
    )
    found = queue.batch(batch.id)
    assert (found.votes, found.skips, answers(queue, batch)) == (0, 0, [])


def test_undo_reopens_a_complete_batch_which_is_told_of_again(ask: Ask, queue):
    batch = ask(ONE, 1)
    vote(queue, "ada")
    complete = queue.batch(batch.id)

    claim = queue.undo("ada", "news", request="u1")
    reopened = queue.batch(batch.id)
    receipt = queue.vote(claim.lease, "ada", "politics", request="r2")

    assert (complete.status, complete.ended_at, complete.done) == ("complete", NOON, 1)
    assert (reopened.status, reopened.ended_at, reopened.done) == ("open", None, 0)
    assert receipt.batch_status == "complete"
    assert told(queue) == [("headrace.labels.completed", batch.id)] * 2


def test_an_item_that_was_undone_and_left_is_given_to_everybody_again(ask: Ask, queue, clock):
    ask(ONE, 2)
    vote(queue, "ada")
    vote(queue, "bob")
    queue.undo("ada", "news", request="u1")
    later(clock, 61)

    claims = [queue.claim("news", "bob"), queue.claim("news", "ada")]

    assert [c and c.shown["title"] for c in claims] == ["D1", None]


def test_a_skip_is_not_undone_when_others_have_the_item(ask: Ask, queue):
    ask(ONE.model_copy(update={"overlap": 2}), 1)
    claim = queue.claim("news", "ada")
    queue.skip(claim.lease, "ada", why="odd", request="s1")
    queue.claim("news", "bob")
    queue.claim("news", "eve")

    late = refusal(lambda: queue.undo("ada", "news", request="u1"))

    assert str(late) == (
        f"Item {claim.item}, which 'ada' skipped, has been given to others since; they answer it.\n"
        "  Fix: Go on with the next item."
    )


# --- ties, notices, figures ---


@pytest.mark.parametrize(("tolerance", "ties"), [(0.5, ["d2"]), (None, ["d1", "d2"])])
def test_numbers_within_the_tolerance_are_no_tie(ask: Ask, queue, tolerance, ties):
    labels = LabelSchema(kind="number", unit="kg", tolerance=tolerance)
    batch = ask(NEWS.model_copy(update={"labels": labels}), 2)
    for rater, numbers in (("ada", ("1.5", "3")), ("bob", ("2", "3.51"))):
        for number in numbers:
            vote(queue, rater, number)

    assert [tie.entity for tie in queue.conflicts(batch.id)] == ties


def test_ties_are_settled_by_who_may_and_the_last_word_stands(ask: Ask, queue, database):
    Raters(database).add("zoe", adjudicates=True)
    batch = ask(NEWS, 2)
    for rater, answer in (("ada", "sport"), ("bob", "politics")):
        vote(queue, rater, answer)
        vote(queue, rater, "business")

    (tie,) = queue.conflicts(batch.id)
    not_ada = refusal(lambda: queue.adjudicate(tie.item, "ada", "sport", request="a0"))
    queue.adjudicate(tie.item, "zoe", "sport", request="a1")
    receipt = queue.adjudicate(tie.item, "zoe", "politics", request="a2")

    assert (tie.entity, [v.label for v in tie.votes]) == ("d1", ["sport", "politics"])
    assert str(not_ada) == (
        "'ada' may not settle ties.\n"
        "  Fix: Have somebody do it who may: `headrace label raters add NAME --adjudicates`."
    )
    assert queue.adjudicate(tie.item, "zoe", "politics", request="a2") == receipt
    assert queue.conflicts(batch.id) == []
    assert [(v.rater, v.label) for v in queue.votes(batch=batch.id) if v.source != "person"] == [
        ("zoe", "politics")
    ]
    assert queue.batch(batch.id).votes == 4


def test_what_happened_to_batches_is_to_be_told_until_somebody_did(ask: Ask, queue, clock):
    first = ask(ONE, 1)
    vote(queue, "ada")
    later(clock, 1)
    second = ask(ONE, 2, key="b" * 64)
    later(clock, 1)
    queue.close(second.id, why="we stop")

    notices = queue.notices()
    queue.told(notices[0].id)

    assert [(n.event, n.resource, dict(n.payload)) for n in notices] == [
        (
            "headrace.labels.completed",
            "headrace.label_task.news",
            {
                "task": "news",
                "batch": first.id,
                "number": 1,
                "schema_version": NEWS.labels.version,
            },
        ),
        (
            "headrace.labels.closed",
            "headrace.label_task.news",
            {
                "task": "news",
                "batch": second.id,
                "number": 2,
                "schema_version": NEWS.labels.version,
                "why": "we stop",
            },
        ),
    ]
    assert told(queue) == [("headrace.labels.closed", second.id)]


def test_a_deadline_closes_a_batch_and_nothing_is_taken_after_it(ask: Ask, queue, clock):
    batch = ask(NEWS, 2, deadline=NOON + timedelta(seconds=30))
    vote(queue, "ada")
    claim = queue.claim("news", "ada")
    early = queue.expire()
    later(clock, 30)

    late = refusal(lambda: queue.vote(claim.lease, "ada", "sport", request="r"))
    nothing = queue.claim("news", "bob")
    closed = queue.expire()

    assert (early, nothing) == ([], None)
    assert late.problem == (
        f"Batch '{batch.id}' was closed: its deadline, 2024-05-01 12:00:30 UTC, has passed."
    )
    assert [(b.id, b.status, b.why) for b in closed] == [
        (batch.id, "closed", "its deadline, 2024-05-01 12:00:30 UTC, has passed")
    ]
    assert told(queue) == [("headrace.labels.closed", batch.id)]
    assert queue.expire() == []


def test_progress_tells_how_far_everybody_and_one_rater_is(ask: Ask, queue, clock):
    ask()
    vote(queue, "ada")
    later(clock, 20)
    vote(queue, "ada")
    vote(queue, "bob")
    claim = queue.claim("news", "bob")
    queue.skip(claim.lease, "bob", why="odd", request="s", ms=1500)

    found = queue.progress("news", "bob")

    assert (found.batches, found.items, found.done, found.votes, found.wanted) == (1, 3, 1, 3, 6)
    assert (found.skips, found.mine, found.mine_skipped) == (1, 1, 1)
    assert (found.mine_per_minute, found.all_per_minute) == (1, 3)  # of the one minute at least
    assert queue.seconds("news") == [1.5]
    later(clock, 220)  # four minutes since the first vote
    assert queue.progress("news").all_per_minute == 0.75
