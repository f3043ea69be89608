"""Batches go to a real Label Studio, people answer there, and every vote comes back once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from headrace.errors import DataError, ServiceError
from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from operators.label_studio import LabelStudio
from tests.labelstudio.conftest import Rater, Server, free_port

SPAM = LabelSchema(choices=("spam", "ham"), guideline="Spam sells.\n\n- a <b>\n- b")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = "😀 Anna\r\nlives in Berlin, $text"

Result = list[dict[str, Any]]


def asked(name: str, schema: LabelSchema = SPAM, **terms: Any) -> LabelTask:
    known = {"name": name, "labels": schema, "entity": "id", "show": ("text",)}
    return LabelTask.model_validate(known | terms)


def items(count: int, **more: Any) -> list[NewItem]:
    return [
        NewItem(entity=f"e{number}", as_of=NOON, shown={"text": f"text {number}"}, **more)
        for number in range(count)
    ]


def requested(queue: LabelQueue, task: LabelTask, wanted: list[NewItem]) -> Batch:
    key = sha256(f"{task.name}{len(wanted)}".encode()).hexdigest()
    return queue.request(task, wanted, key=key, backend="labelstudio")


def choice(*chosen: str) -> Result:
    about = {"from_name": "answer", "to_name": "shown_0", "type": "choices"}
    return [about | {"value": {"choices": list(chosen)}}]


def project(batch: Batch) -> int:
    assert batch.external is not None
    return int(batch.external["project"])


def given(queue: LabelQueue, batch: Batch) -> dict[tuple[str, str], str | None]:
    return {(v.entity, v.rater.split("@")[0]): v.label for v in queue.votes(batch=batch.id)}


def answer_all(rater: Rater, number: int, answer: Callable[[dict[str, Any]], Result]) -> int:
    count = 0
    while (task := rater.next(number)) is not None:
        rater.annotate(task["id"], answer(task))
        count += 1
    return count


@pytest.mark.parametrize(
    ("name", "schema", "result", "written"),
    [
        pytest.param("one", SPAM, choice("ham"), "ham", id="a choice"),
        pytest.param(
            "hostile",
            LabelSchema(choices=('"<b>&$text', "$5 'or' less")),
            choice('"<b>&$text'),
            '"<b>&$text',
            id="a choice that looks like markup",
        ),
        pytest.param(
            "several",
            LabelSchema(kind="multi", choices=("rude", "long", "late")),
            choice("late", "rude"),
            '["rude","late"]',
            id="several choices",
        ),
        pytest.param(
            "none", LabelSchema(kind="multi", choices=("rude", "long")), [], "[]", id="no choice"
        ),
        pytest.param(
            "far",
            LabelSchema(kind="number", low=0, high=10.5, unit="km"),
            [{"from_name": "answer", "to_name": "shown_0", "type": "number",
              "value": {"number": 3.5}}],
            "3.5",
            id="a number",
        ),
        pytest.param(
            "order",
            LabelSchema(kind="ranking", choices=("a", "b", "$5 <c>")),
            [{"from_name": "answer", "to_name": "ordered", "type": "ranker",
              "value": {"ranker": {"answer": ["$5 <c>", "a", "b"]}}}],
            '["$5 <c>","a","b"]',
            id="a ranking",
        ),
        pytest.param(
            "names",
            LabelSchema(kind="span", choices=("person", "$place")),
            [{"id": "x", "from_name": "answer", "to_name": "shown_0", "type": "labels",
              "value": {"start": 2, "end": 6, "text": "Anna", "labels": ["person"]}},
             {"id": "y", "from_name": "answer", "to_name": "shown_0", "type": "labels",
              "value": {"start": 17, "end": 23, "text": "Berlin", "labels": ["$place"]}}],
            '[{"end":6,"label":"person","start":2},{"end":23,"label":"$place","start":17}]',
            id="spans",
        ),
    ],
)  # fmt: skip
def test_an_answer_of_every_kind_comes_back_as_it_is_written(  # noqa: PLR0917
    name: str,
    schema: LabelSchema,
    result: Result,
    written: str,
    queue: LabelQueue,
    studio: LabelStudio,
    ada: Rater,
    bob: Rater,
) -> None:
    suggested = {"suggested": written, "suggested_by": "rule:one", "confidence": 0.9}
    item = NewItem(entity="e0", as_of=NOON, shown={"text": TEXT}, **suggested)
    task = asked(name, schema, hide_suggestions=0.0)
    batch = studio.push(requested(queue, task, [item]).id)

    seen = ada.next(project(batch))
    assert seen is not None
    ada.annotate(seen["id"], result, seconds=2.5)
    # whoever takes what is suggested sends it back as it came
    answer_all(bob, project(batch), lambda t: [r for p in t["predictions"] for r in p["result"]])
    said = studio.sync(batch.id)

    assert seen["data"]["text"] == TEXT
    assert given(queue, batch) == {("e0", "ada"): written, ("e0", "bob"): written}
    assert (said.recorded, said.batch.status, said.unused) == (2, "complete", ())
    vote = next(v for v in queue.votes(batch=batch.id) if v.rater == ada.email)
    assert (vote.seconds, vote.suggestion_shown) == (2.5, written != "[]")
    assert (vote.at - datetime.now(UTC)).total_seconds() < 60


def test_sending_a_batch_again_makes_no_second_project_and_no_item_twice(
    queue: LabelQueue, studio: LabelStudio, server: Server
) -> None:
    batch = studio.push(requested(queue, asked("again"), items(5)).id)
    queue.refer(batch.id, {})  # as if it had been killed before it could write this down
    tasks = server.admin.get("/api/tasks/", params={"project": project(batch)}).json()["tasks"]
    server.admin.delete(f"/api/tasks/{tasks[3]['id']}/").raise_for_status()

    again = studio.push(batch.id)

    found = server.admin.get("/api/tasks/", params={"project": project(batch)}).json()["tasks"]
    projects = server.admin.get("/api/projects/", params={"title": batch.id[:12]}).json()
    assert project(again) == project(batch)
    assert projects["count"] == 1
    assert sorted(t["data"]["text"] for t in found) == [f"text {n}" for n in range(5)]


def test_what_raters_change_skip_and_take_back_counts_as_it_stands_then(
    queue: LabelQueue, studio: LabelStudio, ada: Rater, bob: Rater
) -> None:
    batch = studio.push(requested(queue, asked("changes"), items(3)).id)
    number = project(batch)
    first = answer_three(ada, number, "spam")
    answer_three(bob, number, "ham")
    before = studio.sync(batch.id)

    ada.change(first["e0"], choice("ham"))
    ada.remove(first["e1"])
    ada.session.patch(f"/api/annotations/{first['e2']}/", json={"was_cancelled": True})
    after = studio.sync(batch.id)
    again = studio.sync(batch.id)

    assert (before.recorded, before.batch.status) == (6, "complete")
    assert (after.superseded, after.withdrawn, after.recorded) == (2, 1, 0)
    assert (after.batch.status, after.batch.votes, after.batch.skips) == ("open", 4, 1)
    assert (again.recorded, again.superseded, again.withdrawn) == (0, 0, 0)
    assert given(queue, batch) == {
        ("e0", "ada"): "ham",
        ("e2", "ada"): None,
        ("e0", "bob"): "ham",
        ("e1", "bob"): "ham",
        ("e2", "bob"): "ham",
    }


def answer_three(rater: Rater, number: int, chosen: str) -> dict[str, int]:
    """Answer all there is, and return the number of the annotation of each item."""
    made = {}
    while (task := rater.next(number)) is not None:
        made[f"e{task['data']['text'][-1]}"] = rater.annotate(task["id"], choice(chosen))
    assert len(made) == 3
    return made


def test_an_item_that_has_its_answers_is_given_to_nobody_else_and_more_are_not_counted(
    queue: LabelQueue, studio: LabelStudio, ada: Rater, bob: Rater, eve: Rater
) -> None:
    batch = studio.push(requested(queue, asked("over"), items(2)).id)
    number = project(batch)
    seen = ada.next(number)
    assert seen is not None
    answer_all(ada, number, lambda _: choice("spam"))
    bobs = [answer_all(bob, number, lambda _: choice("ham"))]

    none_for_eve = eve.next(number)
    eve.annotate(seen["id"], choice("spam"))  # Label Studio takes it all the same
    said = studio.sync(batch.id)
    bob.remove(_annotation_of(bob, seen["id"]))
    freed = studio.sync(batch.id)

    assert (bobs, none_for_eve) == ([2], None)
    assert (said.recorded, said.batch.votes, len(said.over)) == (4, 4, 1)
    assert said.over[0].startswith(eve.email)
    # her vote counts once there is room for it
    assert (freed.withdrawn, freed.recorded, freed.batch.votes) == (1, 1, 4)


def _annotation_of(rater: Rater, task: int) -> int:
    annotations = rater.session.get(f"/api/tasks/{task}/annotations/").json()
    me = rater.session.get("/api/current-user/whoami").json()["id"]
    return next(int(each["id"]) for each in annotations if each["completed_by"] == me)


def test_gold_items_and_hidden_suggestions_cannot_be_told_by_what_is_sent(
    queue: LabelQueue, studio: LabelStudio, server: Server, ada: Rater
) -> None:
    suggested = {"suggested": "spam", "suggested_by": "rule:one", "confidence": 0.7}
    gold = [
        NewItem(entity=f"g{n}", as_of=NOON, shown={"text": f"gold {n}"}, slice="gold", gold="ham")
        for n in range(2)
    ]
    task = asked("blind", overlap=1, hide_suggestions=0.5)
    batch = studio.push(requested(queue, task, [*items(30, **suggested), *gold]).id)

    sent = server.admin.get(f"/api/projects/{project(batch)}/export?exportType=JSON"
                            "&download_all_tasks=true").json()  # fmt: skip
    answer_all(ada, project(batch), lambda _: choice("ham"))
    studio.sync(batch.id)

    votes = queue.votes(batch=batch.id)
    shown = {v.entity for v in votes if v.suggestion_shown}
    assert {tuple(sorted(each["data"])) for each in sent} == {("headrace_item", "text")}
    assert "gold" not in json.dumps([{**each, "data": None} for each in sent])
    # 30 draws at one half; outside of 5 to 25 with a chance of 1 in 16,000
    assert 5 <= len(shown) <= 25
    assert {f"e{each['data']['text'][5:]}" for each in sent if each["predictions"]} == shown
    assert {v.label for v in votes if v.slice == "gold"} == {"ham"}


def test_strangers_and_unreadable_answers_are_told_and_not_counted(
    queue: LabelQueue, studio: LabelStudio, ada: Rater, bob: Rater, eve: Rater
) -> None:
    task = asked("strangers", raters=(ada.email, bob.email))
    batch = studio.push(requested(queue, task, items(1)).id)
    seen = ada.next(project(batch))
    assert seen is not None
    ada.annotate(seen["id"], choice("eggs"))
    eve.annotate(seen["id"], choice("spam"))
    bob.annotate(seen["id"], choice("spam"))
    bob.annotate(seen["id"], choice("ham"))

    said = studio.sync(batch.id)

    assert given(queue, batch) == {("e0", "bob"): "ham"}
    assert sorted((u.rater, u.why) for u in said.unused) == [
        (ada.email, "The answer 'eggs' is none of the choices."),
        (bob.email, "the annotator gave a later one"),
        (eve.email, "not among the raters of the task"),
    ]


def test_answers_after_a_batch_was_closed_are_told_and_not_counted(
    queue: LabelQueue, studio: LabelStudio, ada: Rater
) -> None:
    batch = studio.push(requested(queue, asked("closed"), items(2)).id)
    queue.close(batch.id, why="enough")
    answer_all(ada, project(batch), lambda _: choice("spam"))

    said = studio.sync(batch.id)

    assert (said.late, said.recorded, queue.votes(batch=batch.id)) == (2, 0, [])


def test_only_what_changed_is_read_again_and_a_deleted_item_keeps_its_votes(
    queue: LabelQueue, studio: LabelStudio, server: Server, ada: Rater, monkeypatch: Any
) -> None:
    from datetime import timedelta

    from operators import _label_studio_fetching

    monkeypatch.setattr(_label_studio_fetching, "_OVERLAP", timedelta(0))
    batch = studio.push(requested(queue, asked("some", overlap=1), items(12)).id)
    answer_all(ada, project(batch), lambda _: choice("spam"))
    first = studio.sync(batch.id)
    ada.change(ada.last, choice("ham"))
    second = studio.sync(batch.id)
    third = studio.sync(batch.id)
    everything = studio.sync(batch.id, everything=True)
    task = server.admin.get("/api/tasks/", params={"project": project(batch)}).json()["tasks"][0]

    server.admin.delete(f"/api/tasks/{task['id']}/").raise_for_status()
    fourth = studio.sync(batch.id, everything=True)

    assert (first.tasks, first.recorded) == (12, 12)
    assert (second.tasks, second.superseded) == (1, 1)
    assert (third.tasks, everything.tasks, everything.same) == (0, 12, 12)
    assert (fourth.missing, fourth.withdrawn, fourth.batch.votes) == (1, 0, 12)


def test_a_personal_access_token_is_taken_as_well(
    server: Server, queue: LabelQueue, bob: Rater
) -> None:
    token = bob.session.post("/api/token/").json()["token"]
    studio = LabelStudio(queue, url=server.url, token=token)

    batch = studio.push(requested(queue, asked("personal"), items(1)).id)

    assert studio.check() == "1.23.2"
    assert studio.sync(batch.id).tasks == 1


def test_what_is_wrong_with_the_server_or_the_token_is_said_without_the_token(
    server: Server, queue: LabelQueue, studio: LabelStudio
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    wrong = "f" * 40
    batch = studio.push(requested(queue, asked("deleted"), items(1)).id)
    server.admin.delete(f"/api/projects/{project(batch)}/").raise_for_status()

    with pytest.raises(ServiceError) as nobody:
        LabelStudio(queue, url=away, token=wrong).check()
    with pytest.raises(ServiceError) as refused:
        LabelStudio(queue, url=server.url, token=wrong).check()
    with pytest.raises(ServiceError) as expired:
        LabelStudio(queue, url=server.url, token=".".join("abc")).check()
    with pytest.raises(DataError) as deleted:
        studio.sync(batch.id)

    assert nobody.value.problem == f"Label Studio at {away} does not answer (ConnectError)."
    assert refused.value.problem == (
        f"Label Studio at {server.url} does not accept the token (401: Invalid token)."
    )
    assert expired.value.problem == (
        f"Label Studio at {server.url} does not accept the token (401: Token is invalid)."
    )
    assert deleted.value.problem == (
        f"The project {project(batch)} of batch '{batch.id}' was deleted in Label Studio at "
        f"{server.url}, or the token's account does not see it. The 0 votes that were fetched "
        "before are kept."
    )
    for each in (nobody, refused, expired, deleted):
        assert wrong not in str(each.value)


def test_pictures_and_recordings_are_taken(
    queue: LabelQueue, studio: LabelStudio, ada: Rater
) -> None:
    media = {"photo": "image", "call": "audio"}
    task = asked("media", show=("photo", "call"), media=media, overlap=1)
    shown = {"photo": "https://example.org/1.png", "call": "https://example.org/1.wav"}
    item = NewItem(entity="e0", as_of=NOON, shown=shown)

    batch = studio.push(requested(queue, task, [item]).id)
    seen = ada.next(project(batch))
    answer_all(ada, project(batch), lambda _: choice("spam"))
    studio.sync(batch.id)

    assert seen is not None
    assert {name: seen["data"][name] for name in shown} == shown
    assert given(queue, batch) == {("e0", "ada"): "spam"}
