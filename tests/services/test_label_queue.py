"""The queue of labels on PostgreSQL keeps what it promises on SQLite, with real concurrency."""

from __future__ import annotations

import contextvars
import importlib.util
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from headrace.clock import VirtualClock, using_clock
from headrace.errors import StoreError
from headrace.labels.batches import locked
from headrace.labels.items import NewItem
from headrace.labels.queue import LabelQueue, Refused
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database, metadata

pytestmark = pytest.mark.services
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
CONTRACT = (
    "test_queue_votes",
    "test_queue_requests",
    "test_queue_foreign",
    "test_queue_standstill",
    "test_raters",
)
RATERS = ("ada", "bob", "eve", "joe", "zoe")


def promises() -> Iterator[tuple[str, Any]]:
    """The tests of the queue, and the fixtures that they alone use."""
    folder = Path(__file__).parents[1] / "headrace" / "labels"
    for name in CONTRACT:
        spec = importlib.util.spec_from_file_location(
            f"on_postgresql_{name}", folder / f"{name}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for each, value in vars(module).items():
            if each.startswith("test_") or each in ("ask", "batch", "raters", "team"):
                yield each, value


globals().update(promises())
# how SQLite finds an item is SQLite's
del globals()["test_the_next_item_is_found_by_the_index_and_not_by_looking_at_all"]


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(NOON)
    with using_clock(clock):
        yield clock


@pytest.fixture(scope="module")
def migrated(postgres_server: Any) -> Iterator[Database]:
    """A database that is made once: its migrations take a while."""
    import psycopg  # `make test-services` installs it

    with psycopg.connect(f"{postgres_server.url}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE label_queue")
    url = postgres_server.url.replace("postgresql://", "postgresql+psycopg://")
    database = Database(f"{url}/label_queue")
    yield database
    database.close()


@pytest.fixture
def database(migrated: Database) -> Database:
    tables = ", ".join(name for name in metadata.tables if name.startswith("label_"))
    with migrated.writing() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    return migrated


@pytest.fixture
def queue(database: Database, clock: VirtualClock) -> LabelQueue:
    return LabelQueue(database)


def test_five_raters_at_once_on_many_connections_complete_a_batch(database: Database):
    queue = LabelQueue(database)
    task = LabelTask(
        name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=2
    )
    items = [NewItem(entity=f"e{n}", as_of=NOON, shown={"e": n}) for n in range(40)]
    batch = queue.request(task, items, key=sha256(b"many").hexdigest())

    def work(rater: str) -> int:
        mine = LabelQueue(database)
        given = 0
        while (claim := mine.claim("t", rater)) is not None:
            request = f"{rater}/{claim.item}"
            first = mine.vote(claim.lease, rater, "yes", request=request)
            assert mine.vote(claim.lease, rater, "yes", request=request).number == first.number
            given += 1
        return given

    with ThreadPoolExecutor(len(RATERS)) as threads:
        running = [threads.submit(contextvars.copy_context().run, work, r) for r in RATERS]
        given = [each.result() for each in running]

    votes = queue.votes(batch=batch.id)
    assert sum(given) == len(votes) == 80
    assert set(Counter(vote.entity for vote in votes).values()) == {2}
    assert queue.batch(batch.id).status == "complete"
    assert len(queue.notices()) == 1


@pytest.mark.parametrize("declared", [True, False])
def test_who_asks_by_one_key_at_the_same_time_gets_one_batch(database: Database, declared: bool):
    task = LabelTask(
        name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=1
    )
    items = [NewItem(entity=f"e{n}", as_of=NOON, shown={"e": n}) for n in range(40)]
    if declared:
        LabelQueue(database).declare(task)
    together = threading.Barrier(4)

    def ask(_: int) -> str:
        queue = LabelQueue(database)
        together.wait()
        return queue.request(task, items, key=sha256(b"once").hexdigest()).id

    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(ask, range(4)))

    assert len(set(asked)) == 1
    assert [batch.number for batch in LabelQueue(database).batches("t")] == [1]


def two_batches(queue: LabelQueue, **more: Any) -> list[str]:
    """Ask for a batch of one item twice, for tasks `t0` and `t1`."""
    batches = []
    for name in ("t0", "t1"):
        task = LabelTask(
            name=name, labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=1
        )
        items = [NewItem(entity="a", as_of=NOON, shown={"e": "a"})]
        key = sha256(name.encode()).hexdigest()
        batches.append(queue.request(task, items, key=key, **more).id)
    return batches


def test_one_request_for_two_batches_at_once_is_one_vote_and_a_refusal(database: Database):
    queue, together = LabelQueue(database), threading.Barrier(2)
    two_batches(queue)
    leases = [queue.claim(name, "ada").lease for name in ("t0", "t1")]  # type: ignore[union-attr]

    def vote(lease: str) -> str:
        mine = LabelQueue(database)
        together.wait()
        try:
            mine.vote(lease, "ada", "yes", request="same")
        except Refused as refused:
            return refused.reason
        return "taken"

    with ThreadPoolExecutor(2) as threads:
        said = sorted(threads.map(vote, leases))

    assert said == ["request_reused", "taken"]
    assert sum(len(queue.votes(task=name)) for name in ("t0", "t1")) == 1


def test_a_rater_who_goes_while_they_ask_holds_nothing_after_it(database: Database):
    queue, raters = LabelQueue(database), Raters(database)
    (batch, _) = two_batches(queue)
    raters.add("ada")

    def refused() -> str:
        with pytest.raises(Refused) as error:
            LabelQueue(database).claim("t0", "ada")
        return error.value.reason

    with ThreadPoolExecutor(1) as threads:
        with database.writing() as connection:
            locked(connection, batch)
            asking = threads.submit(refused)
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not connection.execute(waits).scalar_one():
                threading.Event().wait(0.01)
            revoked = text("UPDATE label_rater SET revoked_at = now() WHERE name = 'ada'")
            connection.execute(revoked)
        assert asking.result(30) == "not_rater"

    assert queue.claim("t0", "bob") is not None


def test_batches_that_are_late_are_closed_while_somebody_claims_in_another_order(
    database: Database, clock: VirtualClock
):
    queue = LabelQueue(database)
    task = LabelTask(
        name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=1
    )
    items = [NewItem(entity="a", as_of=NOON, shown={"e": "a"})]
    first, second = [
        queue.request(task, items, key=sha256(word).hexdigest(), deadline=NOON + timedelta(hours=h))
        for word, h in ((b"first", 2), (b"second", 1))
    ]
    clock.advance_to(NOON + timedelta(hours=3))

    with ThreadPoolExecutor(1) as threads:
        with database.writing() as connection:
            locked(connection, first.id)  # as who claims does, in the order of their numbers
            context = contextvars.copy_context()
            closing = threads.submit(context.run, LabelQueue(database).expire)
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not connection.execute(waits).scalar_one():
                threading.Event().wait(0.01)
            locked(connection, second.id)
        closed = closing.result(30)

    assert [batch.id for batch in closed] == [second.id, first.id]


def test_a_server_that_does_not_wait_for_the_disk_does_so_for_votes(postgres_url: str):
    database = Database(postgres_url.replace("postgresql://", "postgresql+psycopg://"))

    def level(*, durable: bool) -> str:
        with database.writing(durable=durable) as connection:
            shown = connection.execute(text("SHOW synchronous_commit")).scalar_one()
            return str(shown)

    name = database.url.database
    with database.writing() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    database.close()

    assert (level(durable=False), level(durable=True), level(durable=False)) == ("off", "on", "off")
    database.close()


def test_nobody_rewrites_a_vote(database: Database):
    queue = LabelQueue(database)
    task = LabelTask(
        name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=1
    )
    asked = [NewItem(entity="a", as_of=NOON, shown={"e": "a"})]
    queue.request(task, asked, key=sha256(b"one").hexdigest())
    claim = queue.claim("t", "ada")
    assert claim is not None
    queue.vote(claim.lease, "ada", "yes", request="r1")

    for statement in ("UPDATE label_vote SET label = 'no'", "DELETE FROM label_vote"):
        refused = pytest.raises(StoreError, match="a vote stays as it was given")
        with refused, database.writing() as connection:
            connection.execute(text(statement))
