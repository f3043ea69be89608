"""These tests specify the record of reads of sensitive features."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from headrace.clock import VirtualClock, using_clock
from headrace.errors import HeadraceError
from headrace.grants import Feature
from headrace.lineage import FeatureRead
from headrace.lineage.database import Database
from headrace.lineage.feature_reads import reads_of, record_reads, remember_reads

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "headrace.db")


def feature(view: str, column: str, *, guarded: bool = True) -> Feature:
    return Feature(
        view=view, column=column, owner="risk-team", readers=("*",), sensitivity="internal",
        version=2, rows=7, guarded=guarded,
    )  # fmt: skip


def test_a_read_of_several_views_is_one_entry_a_sensitive_view(database: Database) -> None:
    read = [feature("a", "x"), feature("b", "z", guarded=False), feature("a", "y")]

    with using_clock(VirtualClock(NOON)):
        remember_reads(
            read, sort="read", flow="credit", run_id="r1", actor="ada", database=database
        )

    assert reads_of(database=database) == [
        FeatureRead(
            sort="read", view="a", columns=("x", "y"), version=2, rows=7, at=NOON, flow="credit",
            run_id="r1", actor="ada",
        )
    ]  # fmt: skip


def test_reads_are_told_by_view_oldest_first(database: Database) -> None:
    for view in ("a", "b", "a"):
        remember_reads(
            [feature(view, "x")], sort="reused", flow="f", run_id=None, actor="", database=database
        )

    assert [read.view for read in reads_of("a", database=database)] == ["a", "a"]
    assert reads_of("c", database=database) == []


@pytest.mark.parametrize(
    "change", ["UPDATE feature_read SET flow = 'nobody'", "DELETE FROM feature_read"]
)
def test_what_is_on_record_stays_there(database: Database, change: str) -> None:
    read = FeatureRead(sort="read", view="a", columns=("x",), version=0, rows=1, at=NOON)
    record_reads([read], database=database)

    with (
        pytest.raises(Exception, match="a read of features stays on record"),
        database.writing() as connection,
    ):
        connection.execute(text(change))

    assert reads_of(database=database) == [read]


def test_what_cannot_be_recorded_is_said(database: Database) -> None:
    naive = FeatureRead(
        sort="read", view="a", columns=("x",), version=0, rows=1, at=datetime(2026, 1, 1)
    )

    with pytest.raises(HeadraceError, match="has no zone"):
        record_reads([naive], database=database)
