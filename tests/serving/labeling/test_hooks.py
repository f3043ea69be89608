"""Label Studio's calls lead to fetching, and to nothing else, whoever makes them and how often."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError, ServiceError
from headrace.labels.addresses import hook_path, hook_url
from headrace.labels.hooks import HEADER, Hook
from headrace.labels.items import Batch
from headrace.labels.notices import COMPLETED
from headrace.labels.queue import ForeignVote, LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.secret_keys import digest_of
from serving.labeling.app import labeling_app
from serving.labeling.fetching import Fetcher, fetcher_of
from tests.serving.labeling.conftest import AS_OF, Labeling, Served, items

SECRET = "the secret that Label Studio was told"  # noqa: S105
NEWS = LabelTask(
    name="news",
    labels=LabelSchema(choices=("sport", "business")),
    entity="document",
    show=("title", "text"),
    overlap=1,
    gold_share=0.0,
)


@dataclass
class Studio:
    """What people answered elsewhere; asked for, it says how it is now, however often."""

    queue: LabelQueue
    answers: dict[int, str] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def fetch(self, batch: str) -> None:
        self.fetched.append(batch)
        votes = [
            ForeignVote(
                item=item, rater="ada@example.org", label=label, skipped=None, seconds=1.0,
                at=AS_OF, suggestion_shown=False, request=f"{item} {label} {len(self.fetched)}",
            )
            for item, label in self.answers.items()
        ]  # fmt: skip
        self.queue.record(batch, votes)

    def said(self, batch: Batch) -> dict[int, str | None]:
        numbers = {item.entity: item.id for item in self.queue.items(batch.id)}
        return {numbers[vote.entity]: vote.label for vote in self.queue.votes(batch=batch.id)}


@pytest.fixture
def studio(labeling: Labeling) -> Studio:
    return Studio(labeling.queue)


@pytest.fixture
def heard(labeling: Labeling, served: Served) -> list[str]:
    """The batches that the page was called about."""
    calls: list[str] = []
    served.app = labeling_app(
        labeling.of, queue=labeling.queue, raters=labeling.raters, heard=calls.append
    )
    return calls


def _asked(labeling: Labeling, count: int = 2, *, secret: str = SECRET, **terms: Any) -> Batch:
    task = NEWS.model_copy(update=terms)
    batch = labeling.ask_for(task, items(count), backend="labelstudio")
    hook = Hook(url=hook_url(labeling.of, batch.id), digest=digest_of(secret))
    return labeling.queue.refer(batch.id, {"project": 7} | hook.external())


Call = Callable[..., httpx.Response]


@pytest.fixture
def call(labeling: Labeling) -> Iterator[Call]:
    """Calls about a batch, as Label Studio does, or not quite."""
    with httpx.Client(base_url=labeling.url, verify=False) as client:  # noqa: S501 (plain http)

        def call(batch: str, body: bytes = b"{}", secret: str | None = SECRET) -> httpx.Response:
            headers = {"content-type": b"application/json"} | (
                {HEADER: secret.encode()} if secret else {}
            )
            return client.post(hook_path(batch), content=body, headers=headers)

        yield call


def test_whatever_a_call_says_the_votes_are_those_that_are_fetched(labeling, heard, studio, call):
    batch = _asked(labeling)
    first, _ = labeling.queue.items(batch.id)
    studio.answers = {first.id: "sport"}
    clock = VirtualClock(AS_OF)
    forged = {"choices": ["business"]}
    bodies = [
        b'{"action": "ANNOTATION_CREATED"}',
        json.dumps({"annotation": {"result": [{"value": forged}]}, "project": {"id": 8}}).encode(),
        b'{"action": ' + b"[" * 60_000,
        b"",
    ]

    answers = [call(batch.id, body) for body in bodies]
    before = studio.said(batch)
    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, studio.fetch, every_seconds=60)
        for each in heard:
            fetcher.heard(each)
            _turns(fetcher, clock, 2)

    assert [(each.status_code, each.json()) for each in answers] == [
        (202, {"batch": batch.id, "heard": True})
    ] * 4
    assert heard == [batch.id] * 4
    assert (before, studio.said(batch)) == ({}, {first.id: "sport"})


def test_a_call_without_the_secret_of_its_batch_is_refused(labeling, heard, call):
    batch = _asked(labeling)
    _asked(labeling, 3, secret="the secret of the other batch")  # noqa: S106
    wrong = [None, "guessed", digest_of(SECRET), "the secret of the other batch", "é"]

    cold = [call(batch.id, secret=secret) for secret in wrong]
    known = call(batch.id)
    warm = [call(batch.id, secret=secret) for secret in wrong]

    assert [each.status_code for each in (*cold, known, *warm)] == [403] * 5 + [202] + [403] * 5
    for each in (*cold, *warm):
        assert each.json() == {
            "problem": f"The call about batch '{batch.id}' brings no secret in X-Headrace-Secret, "
            "or another one than Label Studio was told last.",
            "remedy": "Run `headrace label sync` with this batch and `--everything`, which tells "
            "Label Studio a new one; what people answered is fetched all the same.",
            "reason": "wrong",
        }
    assert heard == [batch.id]


def test_calls_about_what_nobody_calls_about_are_refused_precisely(labeling, heard, call):
    local = labeling.ask_for(NEWS, items(1))

    told = [call(which) for which in (local.id, "0" * 32, "x" * 200)]

    assert [each.status_code for each in told] == [404] * 3
    assert [each.json()["problem"] for each in told] == [
        f"There is no batch '{which}' of which Label Studio is to call here."
        for which in (local.id, "0" * 32, "x" * 64)
    ]
    assert heard == []


def test_a_call_that_is_too_large_is_not_heard(labeling, heard, call):
    batch = _asked(labeling)

    large = call(batch.id, b"x" * 70_000)

    assert large.status_code == 413
    assert heard == []


def test_a_new_secret_ends_the_old_one(labeling, heard, call):
    batch = _asked(labeling)
    hook = Hook(url=hook_url(labeling.of, batch.id), digest=digest_of("new"))
    call(batch.id)

    labeling.queue.refer(batch.id, {"project": 7} | hook.external())
    new = call(batch.id, secret="new").status_code  # noqa: S106
    old = call(batch.id).status_code

    assert (new, old) == (202, 403)


def test_without_a_label_studio_nothing_is_heard(labeling, call):
    batch = _asked(labeling)

    answer = call(batch.id)

    assert (answer.status_code, answer.json()["reason"]) == (404, "unknown")
    assert fetcher_of(labeling.of, labeling.queue) is None


def test_the_last_answer_completes_the_batch_which_is_then_to_be_told(labeling, studio):
    batch = _asked(labeling)
    studio.answers = {item.id: "sport" for item in labeling.queue.items(batch.id)}

    Fetcher(labeling.queue, studio.fetch, every_seconds=60).turn()

    assert labeling.queue.batch(batch.id).status == "complete"
    assert [(n.event, n.payload["batch"]) for n in labeling.queue.notices()] == [
        (COMPLETED, batch.id)
    ]


def _turns(fetcher: Fetcher, clock: VirtualClock, seconds: float, *, step: float = 0.1) -> None:
    end = clock.now() + timedelta(seconds=seconds)
    while clock.now() < end:
        clock.advance_to(clock.now() + timedelta(seconds=step))
        fetcher.turn()


def test_a_burst_of_calls_leads_to_a_few_fetches(labeling, studio):
    batch, clock = _asked(labeling), VirtualClock(AS_OF)
    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, studio.fetch, every_seconds=60)
        fetcher.turn()
        _turns(fetcher, clock, 2)
        before = len(studio.fetched)

        for _ in range(1_000):  # in 3 seconds
            fetcher.heard(batch.id)
            _turns(fetcher, clock, 0.003, step=0.003)
        _turns(fetcher, clock, 5)

    assert before == 1
    assert 3 <= len(studio.fetched) - before <= 5


def test_a_call_while_its_batch_is_being_fetched_asks_for_another_fetch(labeling):
    clock, begun = VirtualClock(AS_OF), []
    _asked(labeling)

    def fetch(which: str) -> None:
        begun.append(clock.now() - AS_OF)
        if len(begun) == 1:  # somebody answers what was read already
            fetcher.heard(which)

    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, fetch, every_seconds=60)
        fetcher.turn()
        _turns(fetcher, clock, 10)

    assert begun == [timedelta(0), timedelta(seconds=1)]


def test_whoever_begins_fetches_everything_once_and_then_what_is_open_now_and_then(
    labeling, studio
):
    done, clock = _asked(labeling, 1), VirtualClock(AS_OF)
    studio.answers = {item.id: "sport" for item in labeling.queue.items(done.id)}
    studio.fetch(done.id)
    studio.answers = {}
    ended, going = _asked(labeling, 2), _asked(labeling, 3)
    labeling.queue.close(ended.id, why="enough")
    labeling.ask_for(NEWS, items(4))
    never_sent = labeling.ask_for(NEWS, items(5), backend="labelstudio")
    studio.fetched.clear()

    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, studio.fetch, every_seconds=60)
        fetcher.turn()
        at_once = sorted(studio.fetched)
        _turns(fetcher, clock, 125, step=5)

    assert at_once == sorted([done.id, going.id])
    assert studio.fetched[2:] == [going.id] * 2
    assert never_sent.id not in studio.fetched


def test_what_fails_is_told_once_and_tried_again_until_it_works(labeling, caplog):
    batch, clock, times = _asked(labeling), VirtualClock(AS_OF), []

    def fetch(which: str) -> None:
        times.append((clock.now() - AS_OF).total_seconds())
        if len(times) <= 3:
            raise ServiceError("Label Studio does not answer.", remedy="Start it.")

    with using_clock(clock), caplog.at_level(logging.WARNING):
        fetcher = Fetcher(labeling.queue, fetch, every_seconds=3600)
        fetcher.turn()
        _turns(fetcher, clock, 20, step=0.5)

    assert times == [0, 1, 3, 7]
    assert [record.getMessage() for record in caplog.records] == [
        f"Fetching batch {batch.id} failed, and is tried again: Label Studio does not answer.\n"
        "  Fix: Start it.",
        f"Fetching batch {batch.id} works again, after 3 failures.",
    ]


def test_a_project_that_is_gone_is_asked_for_no_oftener_than_others(labeling):
    times, clock = [], VirtualClock(AS_OF)
    _asked(labeling)

    def fetch(which: str) -> None:
        times.append((clock.now() - AS_OF).total_seconds())
        raise DataError("The project was deleted.", remedy="End the batch.")

    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, fetch, every_seconds=60)
        fetcher.turn()
        _turns(fetcher, clock, 119, step=1)

    assert times == [0, 60]


@pytest.mark.parametrize("seed", range(2))
def test_calls_that_are_forged_repeated_lost_or_late_change_no_vote(labeling, studio, seed: int):
    batch, clock, draw = _asked(labeling, 6), VirtualClock(AS_OF), random.Random(seed)  # noqa: S311
    numbers = [item.id for item in labeling.queue.items(batch.id)]
    with using_clock(clock):
        fetcher = Fetcher(labeling.queue, studio.fetch, every_seconds=60)
        for _ in range(25):
            match draw.choice(["answer", "call", "time", "killed"]):
                case "answer":
                    studio.answers[draw.choice(numbers)] = draw.choice(NEWS.labels.choices)
                case "call":  # of an answer or of none, early or late
                    fetcher.heard(batch.id)
                case "time":
                    _turns(fetcher, clock, 1.5, step=0.5)
                case "killed":  # what it had heard is lost with it
                    fetcher = Fetcher(labeling.queue, studio.fetch, every_seconds=60)
            said = studio.said(batch)
            assert all(said[each] in NEWS.labels.choices for each in said)
            assert said.keys() <= studio.answers.keys()
        _turns(fetcher, clock, 61, step=10)

    assert studio.said(batch) == studio.answers
