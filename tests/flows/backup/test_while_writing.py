"""A home is copied while others write: what the copy says is what was so at one moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows._backup import backup, restore
from flows._backup.databases import snapshot
from headrace.decisions import DecisionLog, compact
from headrace.decisions.documents import columns_id
from headrace.errors import DamagedArtifactError
from headrace.lineage import Lineage
from headrace.settings import Settings

# One process, one run after the other; each is told on standard output once it is committed.
WRITER = """
import sys
from datetime import UTC, datetime
from headrace.lineage import Lineage, RunRecord

lineage = Lineage(sys.argv[1])
for number in range(1_000_000):
    at = datetime.fromtimestamp(number, UTC)
    lineage.start_run(RunRecord(id=f"w{number:07}", flow="writer", started_at=at))
    lineage.finish_run(f"w{number:07}", "completed", "x" * 500, at)
    print(number, flush=True)
"""
COLUMNS = ("distance",)


@contextmanager
def writing(database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(database)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield writer
    finally:
        writer.kill()
        writer.communicate()


def test_a_database_that_is_written_is_copied_as_it_was_at_one_moment(
    home: Settings, tmp_path: Path
):
    with writing(home.home / "headrace.db") as writer:
        for number in range(3):
            committed = [int(writer.stdout.readline()) for _ in range(40)][-1]
            archive = tmp_path / f"{number}.tar"

            backup(archive, of=home)

            restore(archive, tmp_path / str(number))
            with closing(sqlite3.connect(tmp_path / str(number) / "headrace.db")) as database:
                found = database.execute(
                    "SELECT id, state FROM run WHERE flow = 'writer' ORDER BY id"
                ).fetchall()
                checked = database.execute("PRAGMA integrity_check").fetchall()
            assert checked == [("ok",)]
            assert [name for name, _ in found] == [f"w{n:07}" for n in range(len(found))]
            assert len(found) > committed
            # one may have been at work at that moment, which the restore then says
            assert {state for _, state in found[:-1]} == {"completed"}
            assert found[-1][1] in ("completed", "crashed")


def decision(number: int) -> dict[str, Any]:
    return {
        "kind": "decision", "id": f"d{number}", "at": number, "logged": number,
        "entity": {"origin": "EWR"}, "columns": columns_id(COLUMNS), "features": [float(number)],
        "overridden": [], "missing": [], "generation": 1, "experiment": None,
        "candidates": ["m/1"], "propensities": [1.0], "model": "m/1", "score": 0.5,
        "answer": {"probability": 0.5},
    }  # fmt: skip


def test_decisions_that_were_answered_before_the_backup_are_in_it(home: Settings, tmp_path: Path):
    stop = threading.Event()
    answered: list[int] = []

    def answer() -> None:
        folder = home.home / "decisions" / "m"
        with DecisionLog.open(folder, writer="lane", segment_bytes=20_000) as log:
            log.columns(COLUMNS)
            number = 0
            while not stop.is_set():
                log.append([decision(number), decision(number + 1)])
                answered.append(number + 1)
                number += 2

    def tidy() -> None:
        while not stop.wait(0.01):
            compact(home.home / "decisions" / "m", remember=50)

    threads = [threading.Thread(target=answer), threading.Thread(target=tidy)]
    for thread in threads:
        thread.start()
    try:
        while len(answered) < 200:
            time.sleep(0.01)
        before = answered[-1]
        backup(tmp_path / "home.tar", of=home)
        after = answered[-1] + 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    restore(tmp_path / "home.tar", tmp_path / "new")

    restored = tmp_path / "new" / "decisions" / "m"
    with DecisionLog.open(restored, writer="later"):
        pass  # seals what the writer had not
    compact(restored)
    from headrace.decisions import open_view

    view = open_view(restored)
    found = [int(row[0][1:]) for row in view.execute("SELECT id FROM decisions").fetchall()]
    assert sorted(found) == list(range(len(found)))
    assert before < len(found) <= after + 1


def test_a_damaged_database_is_not_backed_up(tmp_path: Path):
    path = tmp_path / "damaged.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (a TEXT)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 20)
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 2 + 8] = b"\xff" * 8
    path.write_bytes(content)

    with pytest.raises(DamagedArtifactError) as caught:
        snapshot(path, tmp_path / "copy.db")

    assert caught.value.problem.startswith(f"The database '{path}' is damaged: ")


def test_a_copy_has_what_is_in_the_write_ahead_log_only(home: Settings, tmp_path: Path):
    path = tmp_path / "wal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE t (a INTEGER)")
        writer.execute("INSERT INTO t VALUES (1)")

        snapshot(path, tmp_path / "copy.db")

        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            assert copy.execute("SELECT a FROM t").fetchall() == [(1,)]
        assert path.with_name("wal.db-wal").stat().st_size > 0


def test_lineage_of_the_copy_can_be_read_while_the_original_is_written(
    home: Settings, tmp_path: Path
):
    with writing(home.home / "headrace.db") as writer:
        writer.stdout.readline()
        backup(tmp_path / "home.tar", of=home)
    restore(tmp_path / "home.tar", tmp_path / "new")

    lineage = Lineage(tmp_path / "new" / "headrace.db")

    (run,) = lineage.runs(flow="late_trains")
    kept = lineage.invocations(run.id)
    assert [each.node for each in kept] == ["trains", "late"]
    assert len(lineage.closure(kept[0].id, "down").edges) >= 2
