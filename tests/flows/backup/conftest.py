"""What the tests of backups share: a small home with a run, a decision and a database of others."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from headrace.settings import Settings, load_settings

Run = Callable[[Path], dict[str, int]]


@pytest.fixture
def run_late_trains() -> Run:
    """Run a small flow in a home, and say how many nodes were executed and how many cached."""
    from flows._catalog import flow_named
    from headrace.execution import Session, run_plan
    from headrace.settings import using_settings

    def run(home: Path) -> dict[str, int]:
        with using_settings(home=home):
            flow = flow_named(str(Path(__file__).with_name("late_trains.py")))
            done = run_plan(flow.plan_with({}).require_sound(), Session.of_settings())
        assert done.state == "completed"
        return {state: done.count(state) for state in ("executed", "cached")}

    return run


@pytest.fixture
def home(tmp_path: Path, run_late_trains: Run) -> Settings:
    """A home in which a flow ran, with files of every sort that is treated in its own way."""
    of = load_settings(home=tmp_path / "home")
    run_late_trains(of.home)
    mlflow = of.home / "mlflow"
    (mlflow / "artifacts" / "1").mkdir(parents=True)
    (mlflow / "artifacts" / "1" / ".hidden.lock").write_text("a file of a user's")
    with closing(sqlite3.connect(mlflow / "mlflow.db")) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE datasets (dataset_source TEXT)")
        source = f'{{"uri": "{(of.home / "store").as_uri()}/objects/ab"}}'
        database.execute("INSERT INTO datasets VALUES (?)", (source,))
    for name in ("logs/mlflow.log", "run/lock", "serving/ray-token", "store/.lock"):
        (of.home / name).parent.mkdir(parents=True, exist_ok=True)
        (of.home / name).write_text("of the moment")
    return of


@pytest.fixture
def contents() -> Callable[[Path], dict[str, str]]:
    """Give the checksum of every file below a folder, by its place in it."""

    def read(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    return read
