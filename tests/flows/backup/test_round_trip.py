"""A home comes back whole, in another folder, with everything known that was known."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import headrace.lineage
from flows._backup import backup, restore
from flows._backup.layout import kept_elsewhere
from flows._services import definitions, processes
from headrace.errors import ParameterError, ServiceError
from headrace.lineage import Lineage, RunRecord
from headrace.lineage.database import HEAD
from headrace.settings import Settings, load_settings

Run = Callable[[Path], dict[str, int]]
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def test_in_the_restored_home_the_same_flow_is_cached(
    home: Settings, tmp_path: Path, run_late_trains: Run
):
    backup(tmp_path / "home.tar", of=home)
    home.home.rename(tmp_path / "lost")

    restore(tmp_path / "home.tar", tmp_path / "elsewhere" / "home")

    assert run_late_trains(tmp_path / "elsewhere" / "home") == {"executed": 0, "cached": 2}


def test_every_file_comes_back_as_it_was(
    home: Settings, tmp_path: Path, contents: Callable[[Path], dict[str, str]]
):
    done = backup(tmp_path / "home.tar", of=home)

    restored = restore(tmp_path / "home.tar", tmp_path / "new")

    before, after = contents(home.home), contents(tmp_path / "new")
    databases = {"headrace.db", "mlflow/mlflow.db"}  # copied through SQLite, and moved
    left_out = ("logs/", "run/", "serving/ray-token", "store/.", "headrace.db.lock")
    same = {name for name in before if not name.startswith(left_out)} - databases
    assert after.keys() == same | databases
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert done.files == restored.files == len(after)
    assert "mlflow/artifacts/1/.hidden.lock" in after


def test_a_restored_home_names_its_own_place_and_nothing_of_the_old_one(
    home: Settings, tmp_path: Path
):
    backup(tmp_path / "home.tar", of=home)

    restored = restore(tmp_path / "home.tar", tmp_path / "new place")

    assert restored.moved == {"headrace.db": 2, "mlflow/mlflow.db": 1}
    with closing(sqlite3.connect(tmp_path / "new place" / "headrace.db")) as database:
        uris = [row[0] for row in database.execute("SELECT uri FROM artifact")]
    assert [Path(uri.removeprefix("file://").replace("%20", " ")).is_dir() for uri in uris] == [
        True,
        True,
    ]
    with closing(sqlite3.connect(tmp_path / "new place" / "mlflow" / "mlflow.db")) as database:
        (source,) = database.execute("SELECT dataset_source FROM datasets").fetchone()
    assert json.loads(source)["uri"] == f"{(tmp_path / 'new place').as_uri()}/store/objects/ab"


def test_a_run_that_was_at_work_is_recorded_as_crashed(home: Settings, tmp_path: Path):
    running = RunRecord(id="r1", flow="f", started_at=NOON, state="running")
    Lineage(home.home / "headrace.db").start_run(running)
    backup(tmp_path / "home.tar", of=home)

    restored = restore(tmp_path / "home.tar", tmp_path / "new")

    run = Lineage(tmp_path / "new" / "headrace.db").run("r1")
    assert restored.crashed == ("r1",)
    assert (run.state, run.message) == (
        "crashed",
        f"it was at work when its home was backed up, at {restored.created_at}",
    )


def test_the_command_line_backs_up_and_restores(home: Settings, tmp_path: Path):
    def headrace(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("headrace"), *words],
            env={**os.environ, "HEADRACE_HOME": str(home.home), "HEADRACE_PROJECT": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

    told = headrace("backup", "monday.tar", "--json")
    shown = headrace("restore", "monday.tar", "--home", "new")

    archive = tmp_path / "monday.tar"
    done = json.loads(told.stdout)
    assert (done["archive"], done["bytes"]) == (str(archive), archive.stat().st_size)
    lines = shown.stdout.splitlines()
    assert lines[0].startswith(f"Restored {done['files']:,} files to {tmp_path / 'new'}, as of ")
    assert lines[1:] == [
        "  Rewrote 2 addresses in headrace.db: the home lies elsewhere now.",
        "  Rewrote 1 addresses in mlflow/mlflow.db: the home lies elsewhere now.",
        "Start its servers with `headrace up`.",
    ]


def test_what_lies_outside_of_the_home_is_said_not_to_be_in_it(tmp_path: Path):
    of = load_settings(
        home=tmp_path,
        store="s3://bucket/store",
        database_url="postgresql+psycopg://ada:secret@db/headrace",
        prefect_url="http://prefect.example.org",
    )

    assert kept_elsewhere(of) == (
        "the artifacts in s3://bucket/store",
        "the database postgresql+psycopg://ada:***@db/headrace",
        "the Prefect server at http://prefect.example.org",
    )
    assert kept_elsewhere(load_settings(home=tmp_path)) == ()


def test_a_home_with_something_in_it_is_not_written_over(home: Settings, tmp_path: Path):
    backup(tmp_path / "home.tar", of=home)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes").write_text("mine")

    with pytest.raises(ParameterError) as caught:
        restore(tmp_path / "home.tar", tmp_path / "new")

    assert str(caught.value) == (
        f"'{tmp_path / 'new'}' is not empty: it holds 'notes'.\n"
        "  Fix: Move it away, or restore to another folder with --home."
    )
    assert (tmp_path / "new" / "notes").read_text() == "mine"


def test_a_home_whose_services_are_up_is_not_written_over(home: Settings, tmp_path: Path):
    backup(tmp_path / "home.tar", of=home)
    service = replace(
        definitions.services(home)[1],
        command=(sys.executable, "-c", "import time; time.sleep(60)"),
        environment={},
    )
    daemon = processes.start(service, home)

    try:
        with pytest.raises(ServiceError) as caught:
            restore(tmp_path / "home.tar", home.home, of=home)
    finally:
        processes.stop(daemon, home, patience_seconds=1)

    assert str(caught.value) == (
        f"The MLflow server of '{home.home}' is up and writes there.\n"
        "  Fix: Stop it with `headrace down`, and move that home away."
    )


def test_a_home_that_was_removed_under_its_server_is_not_restored(home: Settings, tmp_path: Path):
    backup(tmp_path / "home.tar", of=home)
    shutil.rmtree(home.home)
    listens = (
        "import socket, time\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", listens], stdout=subprocess.PIPE, text=True)

    try:
        port = int((server.stdout or sys.stdin).readline())
        of = load_settings(home=home.home, prefect_port=port)
        with pytest.raises(ServiceError) as caught:
            restore(tmp_path / "home.tar", of=of)
    finally:
        server.kill()
        server.communicate()

    assert caught.value.problem.startswith(
        f"A server listens on 127.0.0.1:{port}, the place of one of '{home.home}': "
        f"process {server.pid} ("
    )
    assert not home.home.exists()


def test_a_backup_never_writes_over_a_file(home: Settings, tmp_path: Path):
    (tmp_path / "home.tar").write_text("an older backup")

    with pytest.raises(ParameterError) as caught:
        backup(tmp_path / "home.tar", of=home)

    assert str(caught.value) == (
        f"'{tmp_path / 'home.tar'}' exists.\n  Fix: Name another file, or move that one away."
    )


def test_a_home_does_not_hold_its_own_backup(home: Settings):
    with pytest.raises(ParameterError) as caught:
        backup(home.home / "home.tar", of=home)

    assert str(caught.value) == (
        f"'{home.home / 'home.tar'}' lies in the home '{home.home}', which it is to hold.\n"
        "  Fix: Name a file outside of the home, best on another disk."
    )


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_home_of_an_older_headrace_is_migrated_when_it_is_restored(tmp_path: Path, revision: str):
    old = load_settings(home=tmp_path / "old")
    old.home.mkdir()
    config = Config()
    folder = Path(headrace.lineage.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    engine = create_engine(old.database_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(
            text(
                "INSERT INTO run VALUES ('r1', 'f', '{}', '2013-06-01 12:00:00', NULL, 'failed', "
                "'', 'python', 'ada', '7', NULL, NULL, '{}')"
            )
        )
    engine.dispose()
    backup(tmp_path / "old.tar", of=old)

    restored = restore(tmp_path / "old.tar", tmp_path / "new")

    assert (restored.revision_before, restored.revision) == (revision, HEAD)
    assert Lineage(tmp_path / "new" / "headrace.db").run("r1").started_at == NOON
    with closing(sqlite3.connect(old.home / "headrace.db")) as database:
        kept = database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    assert kept == revision  # the home that was backed up is as it was
