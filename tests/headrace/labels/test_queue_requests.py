"""What may be asked of people: tasks, their versions, batches and items."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from headrace.errors import DataError, DefinitionError, ParameterError, UnknownNameError
from headrace.labels.asked import in_order
from headrace.labels.batches import locked
from headrace.labels.counting import write_vote
from headrace.labels.items import NewItem
from headrace.labels.queue import LabelQueue, Refused
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NEWS = LabelTask(
    name="news",
    labels=LabelSchema(choices=("business", "sport")),
    entity="document",
    show=("title",),
)
OTHER = NEWS.model_copy(update={"labels": LabelSchema(choices=("business", "sport", "tech"))})


def item(entity: str, **more: Any) -> NewItem:
    return replace(NewItem(entity=entity, as_of=NOON, shown={"title": entity.upper()}), **more)


def key(word: str = "one") -> str:
    return sha256(word.encode()).hexdigest()


def test_asking_again_by_the_same_key_gives_the_same_batch(queue: LabelQueue):
    first = queue.request(NEWS, [item("a"), item("b")], key=key(), run_id="run-1", actor="ada")
    again = queue.request(NEWS, [item("a"), item("b")], key=key())

    assert first == again
    assert first.id == key()[:16]
    assert (first.task, first.number, first.status, first.backend) == ("news", 1, "open", "local")
    assert (first.items, first.gold, first.wanted, first.done, first.votes) == (2, 0, 4, 0, 0)
    assert (first.created_at, first.deadline, first.run_id) == (NOON, None, "run-1")
    assert queue.batches("news") == [first]
    with pytest.raises(DataError, match="stands for batch"):
        queue.request(NEWS.model_copy(update={"name": "other"}), [item("a")], key=key())


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([], "A batch of the task 'news' without items was asked for."),
        ([item("a"), item("b"), item("a")], "The item 'a' is there twice."),
        (
            [item("a", slice="gold", gold="sprot")],
            "The item 'a' has a known answer that nobody could give: The answer 'sprot' is none of "
            "the choices. Did you mean 'sport'?",
        ),
        ([item("a", slice="gold")], "The item 'a' is of the slice 'gold' without a known answer."),
        (
            [item("a", gold="sport")],
            "The item 'a' has a known answer, but is of the slice 'chosen'.",
        ),
        (
            [item("a", shown={"title": "A", "salary": 3})],
            "The item 'a' shows 'title', 'salary', while the task 'news' shows 'title'.",
        ),
        (
            [item("a", shown={"title": float("nan")})],
            "The item 'a' shows what is not JSON: Out of range float values are not JSON "
            "compliant.",
        ),
        (
            [item("a", suggested="weather")],
            "The item 'a' has a suggestion that nobody could give: The answer 'weather' is none of "
            "the choices.",
        ),
        ([item("")], "An item has the entity '', which is no text to know it by."),
        (
            [item("a", as_of=NOON.replace(tzinfo=None))],
            "The item 'a' says as of 2024-05-01 12:00:00, a time without a zone.",
        ),
        ([item("a\0")], "An item has the entity 'a\\x00', which is no text to know it by."),
        ([item("\ud800")], "An item has the entity '\\ud800', which is no text to know it by."),
        (
            [item("ä" * 1_001)],
            f"An item has the entity 'ää{'ä' * 197}…, of 2,002 bytes; at most 2,000 are kept.",
        ),
        (
            [item("a", shown={"title": "x" * (4 * 1024 * 1024)})],
            "The item 'a' shows 4,194,317 bytes, while a page takes at most 4,194,304.",
        ),
        (
            [item("a", suggested="sport", suggested_by="model\0")],
            "The item 'a' is suggested an answer by 'model\\x00', which is no name of at most 200 "
            "characters.",
        ),
        (
            [item("a", confidence=1.5)],
            "The item 'a' has the confidence 1.5, which is not within 0 and 1.",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_nothing_written(queue, items, problem):
    with pytest.raises(DataError) as error:
        queue.request(NEWS, items, key=key())

    assert error.value.problem == problem
    assert (queue.batches(), queue.tasks()) == ([], [])


def test_a_key_a_back_end_and_a_deadline_that_cannot_be_are_refused(queue):
    for given, problem in [
        ({"key": "abc"}, "The key of a batch cannot be 'abc'."),
        ({"backend": "paper"}, "There is no back-end 'paper' where people could label."),
        (
            {"deadline": NOON},
            "The deadline 2024-05-01T12:00:00+00:00 is no moment to come, with a zone.",
        ),
    ]:
        with pytest.raises(ParameterError) as error:
            queue.request(NEWS, [item("a")], **{"key": key()} | given)

        assert error.value.problem == problem


def test_pieces_of_text_cannot_be_asked_for_on_our_page(queue):
    spans = NEWS.model_copy(update={"labels": LabelSchema(kind="span", choices=("name",))})

    with pytest.raises(DefinitionError, match="which the labeling page cannot show"):
        queue.request(spans, [item("a")], key=key())

    assert queue.request(spans, [item("a")], key=key(), backend="labelstudio").status == "open"


def test_labels_do_not_change_under_an_open_batch(queue):
    batch = queue.request(NEWS, [item("a")], key=key())

    with pytest.raises(DataError) as declared:
        queue.declare(OTHER)
    with pytest.raises(DataError):
        queue.request(OTHER, [item("a")], key=key("two"))
    queue.close(batch.id, why="new labels")
    second = queue.request(OTHER, [item("a")], key=key("two"))

    assert str(declared.value) == (
        f"The labels of the task 'news' are version {OTHER.labels.version}, but batch 1 "
        f"({batch.id}) is open and answered by version {NEWS.labels.version}; votes of both would "
        f"mix.\n  Fix: Wait until it is complete, or end it: `headrace label close {batch.id}`."
    )
    assert (second.number, second.schema_version) == (2, OTHER.labels.version)
    assert [(v.number, v.version) for v in queue.versions("news")] == [
        (1, NEWS.labels.version),
        (2, OTHER.labels.version),
    ]
    assert queue.schema("news", NEWS.labels.version) == NEWS.labels
    assert queue.task("news") == OTHER
    assert queue.terms(batch.id) == NEWS


def test_what_there_is_not_is_named_with_what_there_is(queue):
    batch = queue.request(NEWS, [item("a")], key=key())

    for call, problem in [
        (lambda: queue.task("newz"), "There is no labeling task 'newz'. Did you mean 'news'?"),
        (
            lambda: queue.claim("newz", "ada"),
            "There is no labeling task 'newz'. Did you mean 'news'?",
        ),
        (
            lambda: queue.batch(batch.id[:-1] + "x"),
            f"There is no batch '{batch.id[:-1]}x'. Did you mean '{batch.id}'?",
        ),
    ]:
        with pytest.raises(UnknownNameError) as error:
            call()

        assert error.value.problem == problem


def test_nothing_tells_a_gold_item_from_others(queue):
    plain = [item(f"p{n}", suggested="sport") for n in range(20)]
    gold = [item(f"g{n}", slice="gold", gold="sport", suggested="sport") for n in range(4)]
    batch = queue.request(NEWS, [*gold, *plain], key=key())

    claims = []
    for n in range(24):
        claims.append(queue.claim("news", "ada"))
        queue.vote(claims[-1].lease, "ada", "sport", request=str(n))

    assert {tuple(sorted(vars(claim))) for claim in claims} == {
        ("batch", "expires_at", "item", "lease", "shown", "suggested", "task", "vote")
    }
    assert {tuple(claim.shown) for claim in claims} == {("title",)}
    assert batch.gold == 4
    places = [n for n, claim in enumerate(claims) if claim.shown["title"].startswith("G")]
    assert len(places) == 4
    assert places not in ([0, 1, 2, 3], [20, 21, 22, 23])


def test_gold_items_are_spread_over_the_whole_batch_whatever_their_priority():
    plain = [item(f"p{n}", priority=float(n)) for n in range(100)]
    gold = [item(f"g{n}", slice="gold", gold="sport", priority=9e9) for n in range(10)]

    ordered = in_order([*gold, *plain], key())

    places = [n for n, each in enumerate(ordered) if each.slice == "gold"]
    assert [sum(11 * s <= place < 11 * (s + 1) for place in places) for s in range(10)] == [1] * 10
    assert len({place % 11 for place in places}) > 3
    rest = [each.priority for each in ordered if each.slice != "gold"]
    assert rest == sorted(rest, reverse=True)
    assert sorted(each.entity for each in ordered) == sorted(e.entity for e in [*gold, *plain])


def test_suggestions_are_hidden_in_the_share_that_the_task_says_and_stay_hidden(queue, clock):
    task = NEWS.model_copy(update={"hide_suggestions": 0.3, "overlap": 1, "lease_seconds": 60})
    queue.request(task, [item(f"i{n}", suggested="sport") for n in range(120)], key=key())

    shown = []
    for n in range(120):
        first = queue.claim("news", "ada")
        clock.advance_to(first.expires_at)
        second = queue.claim("news", "ada")
        assert (first.item, first.suggested) == (second.item, second.suggested)
        queue.vote(second.lease, "ada", "sport", request=str(n))
        shown.append(second.suggested is not None)

    kept = [vote.suggestion_shown for vote in queue.votes(task="news")]
    assert kept == shown
    # 120 draws with 0.7: outside of 64 to 103 once in a million; the seed is the batch's key
    assert 64 <= sum(shown) <= 103


def test_a_task_may_show_no_suggestions_at_all(queue):
    queue.request(
        NEWS.model_copy(update={"suggest": False}), [item("a", suggested="sport")], key=key()
    )

    claim = queue.claim("news", "ada")

    assert claim.suggested is None


def test_hostile_text_is_kept_as_text(queue):
    hostile = "<script>alert(1)</script>'; DROP TABLE label_vote; --\x00\ud800"
    batch = queue.request(NEWS, [item("a", shown={"title": hostile})], key=key())

    claim = queue.claim("news", "ada")

    expected = "<script>alert(1)</script>'; DROP TABLE label_vote; --\ufffd\ufffd"
    assert claim.shown == {"title": expected}
    assert queue.items(batch.id)[0].shown == {"title": expected}


def test_a_batch_without_a_reason_is_not_closed_and_one_that_is_closed_stays_so(queue, clock):
    batch = queue.request(NEWS, [item("a")], key=key(), deadline=NOON + timedelta(hours=1))

    with pytest.raises(DataError, match="cannot be closed without a reason"):
        queue.close(batch.id, why=" ")
    first = queue.close(batch.id, why="enough")
    clock.advance_to(NOON + timedelta(hours=2))

    assert (first.status, first.why, first.ended_at) == ("closed", "enough", NOON)
    assert queue.close(batch.id, why="again") == first
    assert queue.expire() == []
    assert len(queue.notices()) == 1


def test_another_key_that_begins_alike_is_refused(queue):
    queue.request(NEWS, [item("a")], key="a" * 64)

    with pytest.raises(DataError) as error:
        queue.request(NEWS, [item("a")], key="a" * 16 + "b" * 48)

    assert str(error.value) == (
        "The key aaaaaaaaaaaaaaaabbbbbbbb… begins as that of batch 'aaaaaaaaaaaaaaaa', which goes "
        "by it.\n  Fix: Make the key with sha256: two that begin alike are not made by chance."
    )
    assert len(queue.batches()) == 1


def test_a_minus_before_nothing_is_not_shown(queue):
    batch = queue.request(NEWS, [item("a", shown={"title": [-0.0, "x\0"]})], key=key())

    assert str(queue.items(batch.id)[0].shown["title"]) == "[0.0, 'x\ufffd']"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["NUL", "half a pair"])
def test_a_name_that_no_database_keeps_is_an_unknown_one(queue, name: str):
    for call in (queue.task, queue.batch, queue.terms, queue.items):
        with pytest.raises(UnknownNameError):
            call(name)
    with pytest.raises(Refused) as lease:
        queue.vote(name, "ada", "sport", request="r1")

    assert queue.batches(name) == []
    assert lease.value.reason == "lease_unknown"


def test_a_request_that_another_batch_took_at_the_same_moment_is_refused(queue, database):
    batches = [queue.request(NEWS, [item("a")], key=key(word)) for word in ("one", "two")]
    items = [queue.items(batch.id)[0].id for batch in batches]
    row = {
        "rater": "ada", "source": "person", "sort": "vote", "label": "sport", "at": NOON,
        "suggestion_shown": False, "request": "r1",
    }  # fmt: skip

    def write() -> None:
        with database.writing() as connection:
            for batch, number in zip(batches, items, strict=True):
                write_vote(connection, locked(connection, batch.id), row | {"item": number})

    with pytest.raises(Refused) as error:
        write()

    assert str(error.value) == (
        "The request 'r1' has been used before, for something else.\n  Fix: Send each answer with "
        "a request id of its own, and the same one only to repeat it."
    )
