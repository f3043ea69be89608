"""These tests specify how the shared database is opened, migrated and refused."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import headrace.labels.tables
import headrace.lineage
import serving._endpoint_tables  # noqa: F401  declares its tables on the same metadata
from headrace.errors import StoreError
from headrace.lineage import Lineage, RunRecord
from headrace.lineage.database import HEAD, Database, metadata

MIGRATIONS = Path(headrace.lineage.__file__).parent / "migrations"
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def test_head_is_the_newest_migration():
    scripts = ScriptDirectory(str(MIGRATIONS))

    assert scripts.get_heads() == [HEAD]


def test_the_migrations_make_what_the_tables_declare(tmp_path: Path):
    database = Database(tmp_path / "new.db")

    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_a_database_is_opened_in_wal_mode_with_its_keys_checked(tmp_path: Path):
    database = Database(tmp_path / "new.db")

    with database.reading() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys")
        ]

    assert pragmas == ["wal", 1]


def test_many_processes_may_open_a_new_database_at_once(tmp_path: Path):
    code = "import sys; from headrace.lineage import Lineage; Lineage(sys.argv[1]).runs()"
    command = [sys.executable, "-c", code, str(tmp_path / "new.db")]

    openers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]

    assert [opener.communicate()[1] for opener in openers] == [b""] * 4


def test_opening_an_up_to_date_database_does_not_import_alembic(tmp_path: Path):
    path = tmp_path / "known.db"
    Lineage(path)
    code = (
        "import sys; from headrace.lineage import Lineage; Lineage(sys.argv[1]); "
        "sys.exit('alembic' in sys.modules)"
    )

    opened = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert opened.returncode == 0


def test_records_are_imported_without_a_database_library():
    code = (
        "import sys; import headrace.lineage, headrace.store, headrace.content, headrace.clock; "
        "sys.exit(bool({'sqlalchemy', 'pyarrow', 'pandas', 'numpy'} & set(sys.modules)))"
    )

    imported = subprocess.run([sys.executable, "-c", code], check=False)

    assert imported.returncode == 0


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path):
    lineage = Lineage(tmp_path / "new.db")

    def fail() -> None:
        with lineage.database.writing() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("DELETE FROM nowhere"))

    with pytest.raises(StoreError, match="no such table: nowhere"):
        fail()
    with lineage.database.reading() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD


def _write(lineage: Lineage, name: str) -> None:
    lineage.start_run(RunRecord(id=name, flow="f", started_at=NOON))


def test_a_forked_process_uses_connections_of_its_own(tmp_path: Path):
    # In a process of its own: this one may hold the threads of servers' clients by now, and a fork
    # of such a process promises nothing.
    script = f"""
import multiprocessing
from datetime import UTC, datetime
from headrace.lineage import Lineage, RunRecord

def write(lineage, name):
    lineage.start_run(RunRecord(id=name, flow="f", started_at=datetime(2026, 1, 1, tzinfo=UTC)))

lineage = Lineage({str(tmp_path / "new.db")!r})
write(lineage, "parent")
child = multiprocessing.get_context("fork").Process(target=write, args=(lineage, "child"))
child.start()
write(lineage, "parent again")
child.join(timeout=30)
print(child.exitcode, *sorted(run.id for run in lineage.runs()))
"""

    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "0 child parent parent again\n", done.stderr


def test_a_database_of_a_newer_headrace_is_refused(tmp_path: Path):
    database = Database(tmp_path / "new.db")
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError) as caught:
        Database(tmp_path / "new.db")

    assert str(caught.value) == (
        f"The database is at revision 9999; this Headrace knows revisions up to {HEAD}.\n"
        "  Fix: upgrade Headrace to the version that wrote it."
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    path = tmp_path / "notes.db"
    path.write_text("these are notes and no database at all, " * 50)

    with pytest.raises(StoreError) as caught:
        Database(path)

    assert str(caught.value) == (
        f"The database 'sqlite:///{path}' cannot be used: file is not a database.\n"
        "  Fix: restore it from a backup, or move it away and let Headrace begin a new one."
    )


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError) as caught:
        Database(tmp_path / "file" / "lineage.db")

    assert caught.value.remedy == (
        "check that its directory exists and that this user may write there."
    )


@pytest.mark.parametrize("url", ["://", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_processes_cannot_share_is_refused(url: str):
    with pytest.raises(StoreError) as caught:
        Database(url)

    assert str(caught.value) == (
        f"'{url}' is not the address of a database that processes can share.\n"
        "  Fix: give a path, or a URL such as postgresql+psycopg://user@host/headrace."
    )
