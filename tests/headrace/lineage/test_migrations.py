"""A database of an older Headrace is brought up to date with everything that it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import headrace.labels.tables
import headrace.lineage
import serving._endpoint_tables  # noqa: F401  declares its tables on the same metadata
from headrace.lineage import Lineage
from headrace.lineage.database import HEAD

MIGRATIONS = Path(headrace.lineage.__file__).parent / "migrations"
RUN = {
    "id": "r1", "flow": "flight_delay", "parameters": '{"late_minutes": 15.0}',
    "started_at": "2013-06-01 12:00:00.000000", "ended_at": "2013-06-01 12:01:00.000000",
    "state": "completed", "message": "", "origin": "command line", "actor": "ada", "seed": "7",
    "prefect_run_id": None, "mlflow_run_id": None, "machine": '{"cpu": "x"}',
}  # fmt: skip
INVOCATION = {
    "id": "i1", "run_id": "r1", "node": "ingest", "operator": "operators.ingest.read_csv",
    "state": "executed", "key": "k1", "key_parts": "[]", "uncached_because": "[]",
    "reused_from": None, "seed": None, "started_at": "2013-06-01 12:00:01.000000", "seconds": 0.5,
    "message": "", "effect": 0, "parameters": "{}", "attributes": "{}",
}  # fmt: skip
ARTIFACT = {
    "digest": "d1", "kind": "Table", "schema": None, "rows": 3, "bytes": 100, "uri": "file:///d1",
    "summary": "{}",
}  # fmt: skip
EDGE = {
    "earlier": "i1", "later": "d1", "sort": "output", "name": "table", "kind": "Table",
    "position": 0,
}  # fmt: skip
ENDPOINT = {
    "name": "flight_delay", "generation": 2, "champion": "flight_delay/1", "challenger": None,
    "experiment": None, "previous": None, "spec": "{}",
}  # fmt: skip
ROWS = {
    "0001": {"run": RUN, "artifact": ARTIFACT, "invocation": INVOCATION, "edge": EDGE},
    "0002": {"endpoint": ENDPOINT},
}


def old_database(path: Path, revision: str) -> dict[str, dict[str, Any]]:
    """Make a database by running the migrations up to one, with a row in each table of theirs."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    written = {
        table: row for made, rows in ROWS.items() if made <= revision for table, row in rows.items()
    }
    with closing(sqlite3.connect(path)) as database, database:
        for table, row in written.items():
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            insert = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608  ours
            database.execute(insert, [*row.values()])
    return written


def revisions_before_head() -> list[str]:
    return sorted({each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()})[
        :-1
    ]


@pytest.mark.parametrize("revision", revisions_before_head())
def test_every_row_of_an_older_database_is_there_after_the_migration(tmp_path: Path, revision: str):
    written = old_database(tmp_path / "old.db", revision)

    Lineage(tmp_path / "old.db").close()

    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.row_factory = sqlite3.Row
        kept = {
            table: dict(database.execute(f'SELECT * FROM "{table}"').fetchone())  # noqa: S608
            for table in written
        }
        version = database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        checked = database.execute("PRAGMA integrity_check").fetchone()[0]
        orphans = database.execute("PRAGMA foreign_key_check").fetchall()
    # a migration may add columns, and takes none away
    assert {table: row | kept[table] for table, row in written.items()} == kept
    assert {t: {n: kept[t][n] for n in row} for t, row in written.items()} == written
    assert (version, checked, orphans) == (HEAD, "ok", [])


@pytest.mark.parametrize("revision", revisions_before_head())
def test_a_migrated_database_is_read_as_a_new_one(tmp_path: Path, revision: str):
    old_database(tmp_path / "old.db", revision)

    lineage = Lineage(tmp_path / "old.db")

    run = lineage.run("r1")
    assert (run.flow, run.parameters) == ("flight_delay", {"late_minutes": 15.0})
    assert run.started_at == datetime(2013, 6, 1, 12, tzinfo=UTC)
    assert lineage.artifact("d1").rows == 3
    assert [edge.digest for edge in lineage.invocation("i1").outputs] == ["d1"]
    lineage.tag_run("r1", "kept", "yes", actor="ada")
    assert lineage.tags(["r1"]) == {"r1": {"kept": "yes"}}
