"""Reading online where a decision is made: what is found, what is refused, what it costs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.online import OnlineStore
from features.online_lookup import Lookup, lookup_of
from features.online_reader import Found, OnlineReader
from features.view import Entity, FeatureView
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DamagedArtifactError, DataError, LeakageError, StoreError
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
HOUR = 3_600_000_000


def as_given(source: pa.Table) -> pa.Table:
    return source


weather = FeatureView(
    name="weather",
    entities=(Entity(name="airport", column="origin"),),
    source=TableSchema(name="Source", columns=(Column(name="origin", dtype="string"),)),
    features=(Column(name="wind", dtype="float"), Column(name="sky", dtype="category")),
    compute=as_given,
    owner="plant",
    description="Weather at an airport.",
    ttl=timedelta(hours=6),
)
gates = replace(
    weather,
    name="gates",
    entities=(Entity(name="port", column="port"), Entity(name="gate", column="gate", dtype="int")),
    features=(Column(name="length", dtype="float"),),
    ttl=None,
)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    clock = VirtualClock(NOON + timedelta(days=1))
    with using_settings(home=tmp_path / "home"), using_clock(clock):  # versions of its own
        yield tmp_path / "online.db"


def push(
    path: Path, *rows: tuple[Any, ...], view: FeatureView = weather, to: str = "headrace"
) -> None:
    with OnlineStore(path, to) as store:
        store.push_rows(view, rows)


def reader_of(path: Path, *lookups: Lookup, space: str = "headrace") -> OnlineReader:
    return OnlineReader(path, space, lookups or [lookup_of(weather)])


def test_an_entity_is_found_by_its_key_with_its_times(path):
    push(path, ("JFK", NOON_US, NOON_US + HOUR, 7.0, "clear"), ("LGA", NOON_US, NOON_US, 1.0, None))

    with reader_of(path, lookup_of(weather, ["sky"]), lookup_of(weather)) as reader:
        assert reader.read(1, {"origin": "JFK", "carrier": "UA"}, NOON_US + 2 * HOUR) == Found(
            values=[7.0, "clear"], event_us=NOON_US, known_us=NOON_US + HOUR
        )
        assert reader.read(0, {"origin": "LGA"}, NOON_US).values == [None]
        assert reader.read(0, {"origin": "EWR"}, NOON_US) == Found(values=None)


def test_an_entity_of_two_columns_is_found_by_both(path):
    push(path, ("JFK", 1, NOON_US, NOON_US, 10.0), ("JFK", 2, NOON_US, NOON_US, 20.0), view=gates)

    with reader_of(path, lookup_of(gates)) as reader:
        found = [
            reader.read(0, {"gate": gate, "port": "JFK"}, NOON_US).values
            for gate in (2, 1, 3, np.int64(1), np.int32(2))
        ]

    assert found == [[20.0], [10.0], None, [10.0], [20.0]]


def test_a_null_in_the_key_is_no_entity(path):
    push(path, ("JFK", 1, NOON_US, NOON_US, 10.0), view=gates)

    with reader_of(path, lookup_of(gates)) as reader:
        assert reader.read(0, {"port": "JFK", "gate": None}, NOON_US) == Found(values=None)


def test_an_expired_row_gives_nulls_and_says_so(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, "clear"))

    with reader_of(path) as reader:
        at_the_end = reader.read(0, {"origin": "JFK"}, NOON_US + 6 * HOUR)
        after = reader.read(0, {"origin": "JFK"}, NOON_US + 6 * HOUR + 1)

    assert (at_the_end.values, at_the_end.expired) == ([7.0, "clear"], False)
    assert after == Found(values=[None, None], event_us=NOON_US, known_us=NOON_US, expired=True)


def test_a_store_that_comes_later_is_found_without_a_restart(path):
    key = {"origin": "JFK"}
    with reader_of(path) as reader:
        found = [reader.read(0, key, NOON_US).values]  # no file
        path.touch()
        found.append(reader.read(0, key, NOON_US).values)  # an empty file
        push(path, ("JFK", 1, NOON_US, NOON_US, 10.0), view=gates)
        found.append(reader.read(0, key, NOON_US).values)  # no such view
        push(path, ("JFK", NOON_US, NOON_US, 7.0, "clear"))
        found.append(reader.read(0, key, NOON_US).values)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE headrace_weather")
        found.append(reader.read(0, key, NOON_US).values)
        push(path, ("JFK", NOON_US, NOON_US, 8.0, "clear"))
        found.append(reader.read(0, key, NOON_US).values)

    assert found == [None, None, None, [7.0, "clear"], None, [8.0, "clear"]]


def test_a_space_is_read_alone(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, None))
    push(path, ("JFK", NOON_US, NOON_US, 1.0, None), to="replay")

    with reader_of(path, space="replay") as replay, reader_of(path, space="other") as other:
        assert replay.read(0, {"origin": "JFK"}, NOON_US).values == [1.0, None]
        assert other.read(0, {"origin": "JFK"}, NOON_US).values is None


def test_a_feature_that_was_never_written_is_null(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, None))
    wider = replace(weather, features=(*weather.columns, Column(name="ceiling", dtype="float")))

    with reader_of(path, lookup_of(wider, number=0)) as reader:
        assert reader.read(0, {"origin": "JFK"}, NOON_US).values == [7.0, None, None]


def test_reading_never_writes(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, None))

    with reader_of(path) as reader:
        reader.read(0, {"origin": "JFK"}, NOON_US)
        assert reader._connection is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM headrace_weather")


def test_a_replica_that_reads_imports_no_engine(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, "clear"))
    document = lookup_of(weather).to_json()
    code = (
        "import pathlib, sys; from features.online_lookup import Lookup;"
        "from features.online_reader import OnlineReader;"
        f"reader = OnlineReader(pathlib.Path({str(path)!r}), 'headrace',"
        f" [Lookup.from_json({document!r})]);"
        f"assert reader.read(0, {{'origin': 'JFK'}}, {NOON_US}).values == [7.0, 'clear'];"
        "engines = {'duckdb', 'feast', 'google', 'pandas', 'pyarrow', 'sqlalchemy'};"
        "assert not engines & set(sys.modules), engines & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


# what is refused, in whole words


def test_what_happened_after_the_decision_is_never_used(path):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, None))

    with reader_of(path) as reader, pytest.raises(LeakageError) as error:
        reader.read(0, {"origin": "JFK"}, NOON_US - 1)

    assert str(error.value) == (
        "The online store holds the future of view 'weather' for origin 'JFK': what it holds "
        "happened at 2024-05-01T12:00:00+00:00, after the decision at "
        "2024-05-01T11:59:59.999999+00:00.\n"
        "  Fix: Deliver rows in the order in which they became known, or begin the space again as "
        "of the decision."
    )


def test_in_a_replay_what_was_not_known_at_the_decision_is_never_used(path):
    row = ("JFK", NOON_US, NOON_US + HOUR, 7.0, None)
    push(path, row, to="replay")
    push(path, row)

    with reader_of(path, space="replay") as replay, pytest.raises(LeakageError) as error:
        replay.read(0, {"origin": "JFK"}, NOON_US + 1)
    with reader_of(path) as live:  # it came in between the decision and its reading
        found = live.read(0, {"origin": "JFK"}, NOON_US + 1)

    assert (found.values, found.known_us) == ([7.0, None], NOON_US + HOUR)
    assert str(error.value) == (
        "The online store holds the future of view 'weather' for origin 'JFK': what it holds "
        "was known at 2024-05-01T13:00:00+00:00, after the decision at "
        "2024-05-01T12:00:00.000001+00:00.\n"
        "  Fix: Deliver rows in the order in which they became known, or begin the space again as "
        "of the decision."
    )


@pytest.mark.parametrize(
    ("keys", "got"),
    [
        ({"port": 4, "gate": 1}, "'port' of view 'gates' is 4, of type int; it should be a text"),
        (
            {"port": "J", "gate": "1"},
            "'gate' of view 'gates' is '1', of type str; it should be an integer of 64 bits",
        ),
        (
            {"port": "J", "gate": True},
            "'gate' of view 'gates' is True, of type bool; it should be an integer of 64 bits",
        ),
        (
            {"port": "J", "gate": 1 << 63},
            "'gate' of view 'gates' is 9223372036854775808, of type int; it should be an integer "
            "of 64 bits",
        ),
        (
            {"port": "\ud800", "gate": 1},
            "'port' of view 'gates' is '\\ud800', of type str; it should be a text",
        ),
        (
            {"prt": "JFK", "gate": 1},
            "'port' of view 'gates' is missing among ['gate', 'prt']; it should be a text",
        ),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(path, keys, got):
    with reader_of(path, lookup_of(gates)) as reader, pytest.raises(DataError) as error:
        reader.read(0, keys, NOON_US)

    assert str(error.value) == (
        f"The key {got}.\n  Fix: Give each key column a value of its type, or null where there is "
        "no entity."
    )


@pytest.mark.parametrize(
    ("blob", "begins"),
    [
        pytest.param(b"\x12\x03low", "12036c6f", id="a text where a real is wanted"),
        pytest.param(b"\x5a\x02\x0a\x00", "5a020a00", id="a list"),
        pytest.param(b"\x29\x00\x00", "290000", id="a value cut short"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(path, blob, begins):
    push(path, ("JFK", NOON_US, NOON_US, 7.0, None))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE headrace_weather SET value = ? WHERE feature_name = 'wind'", (blob,)
        )

    with reader_of(path) as reader, pytest.raises(StoreError) as error:
        reader.read(0, {"origin": "JFK"}, NOON_US)

    assert str(error.value) == (
        "The online value of feature 'wind' of view 'weather' for origin 'JFK' cannot be read as "
        f"float: it begins with the bytes 0x{begins}.\n"
        "  Fix: Push or materialize the view again, under the definition that is looked up."
    )


def test_a_damaged_file_is_named(path):
    path.write_bytes(b"not a database, but long enough to be taken for one" * 20)

    with reader_of(path) as reader, pytest.raises(DamagedArtifactError) as error:
        reader.read(0, {"origin": "JFK"}, NOON_US)

    assert str(error.value) == (
        f"The online store {path} is damaged: file is not a database.\n"
        "  Fix: Stop who uses it, remove the file and those named like it with -wal and -shm, and "
        "materialize the views again."
    )
