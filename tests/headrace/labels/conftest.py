"""A database with the tables of labeling, and a clock that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.labels.queue import LabelQueue
from headrace.lineage.database import Database


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """The clock, at noon."""
    clock = VirtualClock(datetime(2024, 5, 1, 12, tzinfo=UTC))
    with using_clock(clock):
        yield clock


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with nothing in it, made once."""
    path = tmp_path_factory.mktemp("labels") / "empty.db"
    Database(path).close()
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Iterator[Database]:
    """A database of the test's own."""
    database = Database(shutil.copy(empty_database, tmp_path / "headrace.db"))
    yield database
    database.close()


@pytest.fixture
def queue(database: Database, clock: VirtualClock) -> LabelQueue:
    """The queue in it, at noon."""
    return LabelQueue(database)
