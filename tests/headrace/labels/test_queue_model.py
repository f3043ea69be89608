"""The laws of the queue: it does what a simple model of it does, whatever raters do in which order.

No vote is lost and none counted twice; votes and live leases are never more than the votes wanted;
what stands is the last that was not undone; counts are what counting anew gives. Whoever comes and
goes meanwhile, an open batch has an open item for as long as somebody could answer one.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from headrace.clock import VirtualClock, using_clock
from headrace.labels.items import NewItem, Receipt
from headrace.labels.queue import LabelQueue, Refused
from headrace.labels.raters import Raters as RaterBook
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
RATERS = ("ada", "bob", "eve")
LEASE = 60.0
Raters = st.sampled_from(RATERS)


@functools.cache
def empty_database() -> Path:
    path = Path(tempfile.mkdtemp(prefix="headrace-queue-")) / "empty.db"
    Database(path).close()
    return path


@dataclass
class Item:
    """What the model knows of an item."""

    stands: dict[str, tuple[str, int]] = field(default_factory=dict)  # rater: answer, number
    leases: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    open: bool = True

    def votes(self) -> int:
        return sum(answer != "skip" for answer, _ in self.stands.values())

    def skips(self) -> int:
        return len(self.stands) - self.votes()


class QueueMachine(RuleBasedStateMachine):
    """Raters come, claim, vote, skip, undo, repeat themselves, go; somebody may close the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.left = ExitStack()
        folder = Path(self.left.enter_context(tempfile.TemporaryDirectory()))
        self.database = Database(shutil.copy(empty_database(), folder / "queue.db"))
        self.left.callback(self.database.close)
        self.clock = VirtualClock(NOON)
        self.left.enter_context(using_clock(self.clock))
        self.queue, self.book = LabelQueue(self.database), RaterBook(self.database)
        self.items: dict[int, Item] = {}
        self.sent: list[tuple[str, str, str, str, Receipt]] = []
        self.written = 0
        self.completions = 0
        self.requests = 0
        self.closed = False
        self.known: set[str] = set()  # who has a token, or had one
        self.gone: set[str] = set()
        self.part: set[str] = set()  # who was shown that there is something for them

    @initialize(
        overlap=st.sampled_from((1, 2, 3)),
        named=st.booleans(),
        entities=st.sampled_from(("a", "ab")),
    )
    def ask(self, overlap: int, named: bool, entities: str) -> None:
        self.overlap, self.named = overlap, named
        task = LabelTask(
            name="t",
            labels=LabelSchema(choices=("yes", "no")),
            entity="e",
            show=("e",),
            overlap=overlap,
            lease_seconds=LEASE,
            raters=RATERS if named else None,
        )
        asked = [NewItem(entity=e, as_of=NOON, shown={"e": e}) for e in entities]
        self.batch = self.queue.request(task, asked, key=sha256(b"model").hexdigest()).id
        self.items = {each.id: Item() for each in self.queue.items(self.batch)}

    def teardown(self) -> None:
        self.left.close()

    # --- the model ---

    def live(self, item: Item, besides: str = "") -> set[str]:
        now = self.clock.now()
        return {r for r, (_, ends) in item.leases.items() if ends > now and r != besides}

    def could_be_answered(self, item: Item) -> bool:
        if item.votes() >= self.overlap or item.skips() >= self.overlap:
            return False
        there = (set(RATERS) if self.named else self.known) - self.gone
        if not self.named and self.part - self.known:
            there = set()  # some answer who were never made raters, and so others may come
        return len(item.stands) < self.overlap or not there or not there <= set(item.stands)

    def settle(self, changed: Item | None = None) -> None:
        """Look who could answer what; a batch that is complete is so until somebody undoes."""
        if changed is None and self.is_complete():
            return
        for item in self.items.values() if changed is None else (changed,):
            item.open = self.could_be_answered(item)

    def look(self) -> None:
        was_complete = self.is_complete()
        self.settle()
        self.completions += self.is_complete() and not was_complete

    def has_place(self, item: Item, rater: str) -> bool:
        return item.votes() + len(self.live(item, rater)) < self.overlap

    def expected(self, rater: str) -> int | None:
        return next(
            (
                number
                for number, item in self.items.items()
                if item.open and rater not in item.stands and self.has_place(item, rater)
            ),
            None,
        )

    def is_complete(self) -> bool:
        return not any(item.open for item in self.items.values())

    def request(self) -> str:
        self.requests += 1
        return f"request {self.requests}"

    def held(self, rater: str) -> list[int]:
        return [n for n, item in self.items.items() if rater in self.live(item)]

    # --- what may happen ---

    @precondition(lambda self: not self.closed)
    @rule(rater=Raters)
    def come(self, rater: str) -> None:
        if rater in self.known:
            self.book.rotate(rater)
        else:
            self.book.add(rater)

        self.known.add(rater)
        self.gone.discard(rater)
        self.look()

    @precondition(lambda self: not self.closed and self.known - self.gone)
    @rule(data=st.data())
    def go(self, data: Any) -> None:
        rater = data.draw(st.sampled_from(sorted(self.known - self.gone)))
        self.book.revoke(rater)

        self.gone.add(rater)
        for item in self.items.values():
            item.leases.pop(rater, None)
        self.look()

    @rule(rater=Raters)
    def claim(self, rater: str) -> None:
        if rater in self.gone:
            with pytest.raises(Refused) as error:
                self.queue.claim("t", rater)
            assert error.value.reason == "not_rater"
            return
        held = self.held(rater)

        claim = self.queue.claim("t", rater)

        if self.closed:
            assert claim is None
        elif held:
            assert claim is not None
            assert claim.item in held
            assert claim.lease == self.items[claim.item].leases[rater][0]
        elif self.is_complete():
            assert claim is None
        else:
            assert (claim and claim.item) == self.expected(rater)
            if any(item.open and rater not in item.stands for item in self.items.values()):
                self.part.add(rater)
            if claim is not None:
                self.items[claim.item].leases[rater] = (claim.lease, claim.expires_at)

    @rule(rater=Raters, answer=st.sampled_from(("yes", "no", "skip")))
    def work(self, rater: str, answer: str) -> None:
        self.claim(rater)
        if not self.closed and (held := self.held(rater)):
            self.give(rater, held[0], answer)

    @rule(rater=Raters, answer=st.sampled_from(("yes", "no", "skip")), data=st.data())
    def answer(self, rater: str, answer: str, data: Any) -> None:
        known = sorted(n for n, item in self.items.items() if rater in item.leases)
        if known:
            self.give(rater, data.draw(st.sampled_from(known)), answer)

    def give(self, rater: str, number: int, given: str) -> None:
        item, request = self.items[number], self.request()
        lease, ends = item.leases[rater]

        if self.closed or ends <= self.clock.now():
            with pytest.raises(Refused) as error:
                self.send(rater, lease, given, request)
            assert error.value.reason == ("batch_closed" if self.closed else "lease_expired")
            return
        receipt = self.send(rater, lease, given, request)

        del item.leases[rater]
        item.stands[rater] = (given, receipt.number)
        self.written += 1
        self.settle(item)
        self.completions += self.is_complete()
        assert receipt.batch_status == ("complete" if self.is_complete() else "open")
        self.sent.append((rater, lease, given, request, receipt))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        rater, lease, given, request, receipt = data.draw(st.sampled_from(self.sent))

        again = self.send(rater, lease, given, request)

        assert replace(again, batch_status="open") == replace(receipt, batch_status="open")

    @rule(rater=Raters, leaves=st.booleans())
    def undo(self, rater: str, leaves: bool) -> None:
        mine = [(i.stands[rater][1], n) for n, i in self.items.items() if rater in i.stands]
        request = self.request()
        if rater in self.gone:
            with pytest.raises(Refused) as error:
                self.queue.undo(rater, "t", request=request)
            assert error.value.reason == "not_rater"
            return
        item = self.items[max(mine)[1]] if mine else None
        skipped = item is not None and item.stands[rater][0] == "skip"
        if item is None or self.closed or (skipped and not self.has_place(item, rater)):
            with pytest.raises(Refused) as error:
                self.queue.undo(rater, "t", request=request)
            reason = "batch_closed" if self.closed and mine else "nothing_to_undo"
            assert error.value.reason == reason
            return
        claim = self.queue.undo(rater, "t", request=request)

        answer, _ = item.stands.pop(rater)
        assert (claim.item, claim.vote) == (max(mine)[1], None if skipped else answer)
        item.leases[rater] = (claim.lease, claim.expires_at)
        self.written += 1
        was_complete = self.is_complete()
        self.settle(item)
        if was_complete:
            self.settle()
        assert self.queue.undo(rater, "t", request=request) == claim
        if leaves:
            self.wait(LEASE)
            for other in sorted(RATERS, key=lambda each: each == rater):
                self.claim(other)

    @rule(seconds=st.sampled_from((1.0, LEASE)))
    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(seconds=seconds))

    @precondition(lambda self: self.requests > 6)
    @rule()
    def close(self) -> None:
        self.queue.close(self.batch, why="enough")
        self.closed = True
        for rater in RATERS:
            for number in self.held(rater):
                self.give(rater, number, "yes")

    def send(self, rater: str, lease: str, given: str, request: str) -> Receipt:
        if given == "skip":
            return self.queue.skip(lease, rater, why="odd", request=request)
        return self.queue.vote(lease, rater, given, request=request)

    # --- what always holds ---

    @invariant()
    def the_votes_that_stand_are_those_of_the_model(self) -> None:
        entity = {each.id: each.entity for each in self.queue.items(self.batch)}
        stands = {
            (entity[n], rater, answer, number)
            for n, item in self.items.items()
            for rater, (answer, number) in item.stands.items()
        }

        votes = self.queue.votes(batch=self.batch)

        assert {(v.entity, v.rater, v.label or "skip", v.number) for v in votes} == stands
        assert len(votes) == len(stands)

    @invariant()
    def votes_and_live_leases_are_never_more_than_wanted(self) -> None:
        for item in self.items.values():
            assert item.votes() + len(self.live(item)) <= self.overlap
            assert item.votes() <= self.overlap

    @invariant()
    def counts_are_what_counting_anew_gives(self) -> None:
        for each in self.queue.items(self.batch):
            item = self.items[each.id]
            assert (each.votes, each.skips) == (item.votes(), item.skips())
            assert each.open == item.open
        batch = self.queue.batch(self.batch)
        open_items = sum(item.open for item in self.items.values())
        assert batch.done == len(self.items) - open_items
        assert batch.votes == sum(item.votes() for item in self.items.values())
        assert batch.skips == sum(item.skips() for item in self.items.values())
        status = "closed" if self.closed else "complete" if not open_items else "open"
        assert batch.status == status

    @invariant()
    def everything_that_was_acknowledged_is_written_once(self) -> None:
        with self.database.reading() as connection:
            written = connection.execute(text("SELECT count(*) FROM label_vote")).scalar()

        events = Counter(notice.event for notice in self.queue.notices())

        assert written == self.written
        assert events["headrace.labels.completed"] == self.completions
        assert events["headrace.labels.closed"] == int(self.closed)


def laws(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_the_queue_does_what_its_model_does():
    run_state_machine_as_test(QueueMachine, settings=laws(20))  # type: ignore[no-untyped-call]


@pytest.mark.lengthy
def test_the_queue_does_what_its_model_does_in_many_more_stories():
    run_state_machine_as_test(QueueMachine, settings=laws(500))  # type: ignore[no-untyped-call]
