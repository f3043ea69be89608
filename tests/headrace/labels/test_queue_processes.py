"""What several raters at once, and processes that are killed, leave in the queue."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TASK = LabelTask(
    name="t", labels=LabelSchema(choices=("yes", "no")), entity="e", show=("e",), overlap=2
)
RATERS = ("ada", "bob", "eve", "joe", "zoe")


def asked(queue: LabelQueue, items: int) -> Batch:
    given = [NewItem(entity=f"e{n}", as_of=NOON, shown={"e": n}) for n in range(items)]
    return queue.request(TASK, given, key=sha256(b"many").hexdigest())


def assert_sound(queue: LabelQueue, database: Database, batch: Batch) -> None:
    """Counts are what counting anew gives, nobody voted twice, and no item has too many votes."""
    votes = queue.votes(batch=batch.id)
    by_item = Counter(vote.entity for vote in votes)
    assert not [pair for pair, n in Counter((v.entity, v.rater) for v in votes).items() if n > 1]
    assert max(by_item.values(), default=0) <= TASK.overlap
    assert {each.entity: each.votes for each in queue.items(batch.id) if each.votes} == by_item
    found = queue.batch(batch.id)
    assert found.votes == len(votes)
    assert found.done == sum(n == TASK.overlap for n in by_item.values())
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        assert connection.execute(text("SELECT count(*) FROM label_vote")).scalar() == len(votes)


def test_five_raters_at_once_complete_a_batch_and_each_vote_counts_once(database: Database):
    queue = LabelQueue(database)
    batch = asked(queue, 30)

    def work(rater: str) -> int:
        given = 0
        while (claim := queue.claim("t", rater)) is not None:
            queue.vote(claim.lease, rater, "yes", request=f"{rater}/{claim.item}")
            given += 1
        return given

    with ThreadPoolExecutor(len(RATERS)) as threads:
        running = [threads.submit(contextvars.copy_context().run, work, r) for r in RATERS]
        given = [each.result() for each in running]

    assert sum(given) == 60
    assert queue.batch(batch.id).status == "complete"
    assert len(queue.notices()) == 1
    assert_sound(queue, database, batch)


def test_every_acknowledged_vote_of_killed_processes_is_there(database: Database, tmp_path: Path):
    queue = LabelQueue(database)
    batch = asked(queue, 5000)
    voter, path = Path(__file__).with_name("_voter.py"), str(database.url.database)
    files = [tmp_path / f"{rater}.said" for rater in RATERS[:3]]
    voters = []
    for rater, said in zip(RATERS, files, strict=False):
        with said.open("wb") as out:
            voters.append(subprocess.Popen([sys.executable, voter, path, rater], stdout=out))

    end = time.monotonic() + 60
    while min(said.stat().st_size for said in files) < 200 and time.monotonic() < end:
        time.sleep(0.01)
    for each in voters:
        each.kill()
    codes = [each.wait() for each in voters]

    acknowledged = {
        (int(number), int(item), rater)
        for said in files
        for line in said.read_text().splitlines(keepends=True)
        if line.endswith("\n")
        for number, item, rater in [line.split()]
    }
    by_entity = {each.entity: each.id for each in queue.items(batch.id)}
    kept = {(v.number, by_entity[v.entity], v.rater) for v in queue.votes(batch=batch.id)}
    assert codes == [-9] * 3
    assert len(acknowledged) > 30
    assert acknowledged <= kept
    # at most one of each was committed and not said any more
    assert len(kept - acknowledged) <= 3
    assert_sound(queue, database, batch)


def test_what_was_killed_between_acknowledgement_and_repeat_is_one_vote(database: Database):
    queue = LabelQueue(database)
    batch = asked(queue, 2)
    claim = queue.claim("t", "ada")
    assert claim is not None
    code = (
        "import os, sys; from headrace.labels.queue import LabelQueue; "
        "from headrace.lineage.database import Database; "
        "q = LabelQueue(Database(sys.argv[1])); "
        "q.vote(sys.argv[2], 'ada', 'yes', request='r1'); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code, str(database.url.database), claim.lease]
    ended = subprocess.run(command, check=False).returncode

    receipt = queue.vote(claim.lease, "ada", "yes", request="r1")

    assert ended == -9
    assert (receipt.item, receipt.label) == (claim.item, "yes")
    assert_sound(queue, database, batch)


@pytest.mark.parametrize("neighbour", [False, True])
def test_votes_wait_for_the_disk_whoever_else_uses_the_connection(
    database: Database, neighbour: bool
):
    queue = LabelQueue(database)
    asked(queue, 1)
    if neighbour:
        with database.writing() as connection:
            lax = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        assert lax == 1  # NORMAL: after a loss of power what was committed last may be gone

    with queue._writing() as connection:
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar()

    assert level == 2  # FULL


def test_nobody_rewrites_a_vote(database: Database):
    queue = LabelQueue(database)
    batch = asked(queue, 1)
    claim = queue.claim("t", "ada")
    assert claim is not None
    queue.vote(claim.lease, "ada", "yes", request="r1")

    for statement in ("UPDATE label_vote SET label = 'no'", "DELETE FROM label_vote"):
        refused = pytest.raises(IntegrityError, match="a vote stays as it was given")
        with refused, database.writing() as connection:
            connection.execute(text(statement))

    assert [vote.label for vote in queue.votes(batch=batch.id)] == ["yes"]
