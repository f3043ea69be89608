"""Writing the online store: which rows win, what is refused, what a failure leaves."""

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

import pyarrow as pa
import pytest

from features.airport_weather import airport_weather
from features.online import OnlineStore, Pushed, online_file, plain_rows
from features.online_lookup import lookup_of
from features.online_reader import OnlineReader
from features.online_versions import versions_online
from features.view import Entity, FeatureView
from headrace.clock import VirtualClock, using_clock
from headrace.errors import (
    BoundaryError,
    DamagedArtifactError,
    DataError,
    DefinitionError,
    LeakageError,
    ParameterError,
    StoreError,
)
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

US = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
MINUTE = 60_000_000
SOURCE = TableSchema(name="Source", columns=(Column(name="origin", dtype="string"),))


def as_given(source: pa.Table) -> pa.Table:
    return source


weather = FeatureView(
    name="weather",
    entities=(Entity(name="airport", column="origin"),),
    source=SOURCE,
    features=(
        Column(name="wind", dtype="float"),
        Column(name="seen", dtype="timestamp"),
        Column(name="alerts", dtype="int"),
    ),
    compute=as_given,
    owner="plant",
    description="Weather at an airport.",
    ttl=timedelta(hours=6),
)
runways = replace(
    weather,
    name="runways",
    entities=(Entity(name="runway", column="runway", dtype="int"),),
    features=(Column(name="length", dtype="float"),),
    ttl=None,
)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(days=1))):
        yield tmp_path / "features" / "online.db"


def row(
    origin: Any, event: int, wind: Any, *, known: int | None = None, **rest: Any
) -> tuple[Any, ...]:
    """A plain row of `weather`; times in minutes after noon."""
    known = event if known is None else known
    times = NOON_US + event * MINUTE, NOON_US + known * MINUTE
    return (origin, *times, wind, rest.get("seen"), rest.get("alerts"))


def wind(path: Path, origin: str, space: str = "headrace") -> Any:
    with OnlineReader(path, space, [lookup_of(weather, ["wind"])]) as reader:
        found = reader.read(0, {"origin": origin}, NOON_US + 200 * MINUTE)
    return None if found.values is None else found.values[0]


def test_an_older_event_never_overwrites_a_newer_one(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 10, 7.0)])

        pushed = store.push_rows(weather, [row("JFK", 5, 9.0, known=15), row("LGA", 5, 9.0)])

    assert pushed == Pushed(rows=2, written=1, older=1)
    assert (wind(path, "JFK"), wind(path, "LGA")) == (7.0, 9.0)


def test_of_one_event_the_word_that_was_known_last_counts_in_whatever_order_it_comes(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0, known=20)])
        early = store.push_rows(weather, [row("JFK", 0, 1.0, known=10)])
        late = store.push_rows(weather, [row("JFK", 0, 9.0, known=30)])

    assert (early.older, late.written) == (1, 1)
    assert wind(path, "JFK") == 9.0


def test_of_rows_alike_in_both_times_the_last_given_counts(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0), row("JFK", 0, 8.0)])
        assert wind(path, "JFK") == 8.0

        store.push_rows(weather, [row("JFK", 0, 9.0)])

    assert wind(path, "JFK") == 9.0


def test_times_a_microsecond_apart_are_told_apart(path):
    newer = ("JFK", NOON_US + 1, NOON_US + 1, 7.0, None, None)
    older = ("JFK", NOON_US, NOON_US + 2, 9.0, None, None)
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [newer])

        pushed = store.push_rows(weather, [older])

    assert pushed.older == 1
    assert wind(path, "JFK") == 7.0


def test_pushing_the_same_again_writes_nothing(path):
    rows = [row("JFK", 0, 7.0), row("LGA", 0, None, alerts=3)]
    with OnlineStore(path, "headrace") as store:
        first = store.push_rows(weather, rows)

        second = store.push_rows(weather, rows)

    assert first == Pushed(rows=2, written=2, older=0)
    assert second == Pushed(rows=2, written=0, older=0)
    assert second.same == 2


def test_a_table_is_pushed_as_the_view_computes_it(path):
    table = pa.table(
        {
            "origin": pa.array(["JFK"]).dictionary_encode(),
            "wind": pa.array([7], pa.int64()),  # widened, as everywhere
            "alerts": [2],
            "seen": pa.array([NOON], US),
            "event_time": pa.array([NOON], US),
            "known_time": pa.array([NOON], pa.timestamp("s", tz="America/New_York")),
            "expires_at": pa.array([NOON], US),
            "more": ["is left out"],
        }
    )

    with OnlineStore(path, "headrace") as store:
        pushed = store.push(weather, table)

    assert pushed.written == 1
    with OnlineReader(path, "headrace", [lookup_of(weather)]) as reader:
        found = reader.read(0, {"origin": "JFK"}, NOON_US)
    assert found.values == [7.0, NOON, 2]


def test_several_views_are_written_in_one_transaction(path):
    with OnlineStore(path, "headrace") as store:
        bad = ("09", NOON_US, NOON_US, 3000.0)  # a text where the key is an integer

        with pytest.raises(DataError):
            store.push_many([(weather, [row("JFK", 0, 7.0)]), (runways, [bad])])
        assert wind(path, "JFK") is None

        pushed = store.push_many(
            [(weather, [row("JFK", 0, 7.0)]), (runways, [(9, NOON_US, NOON_US, 3000.0)])]
        )

    assert [p.written for p in pushed] == [1, 1]
    assert wind(path, "JFK") == 7.0


def test_a_view_that_gained_a_feature_is_a_new_version_beside_the_old_one(path):
    small = replace(weather, features=(Column(name="wind", dtype="float"),))
    with OnlineStore(path, "headrace") as store:
        store.push_rows(small, [("JFK", NOON_US, NOON_US, 7.0)])
        old = lookup_of(small)

        pushed = store.push_rows(weather, [row("JFK", 5, 8.0, alerts=4)])

    assert pushed.written == 1
    assert [each.whole for each in versions_online("weather")] == [True, False]
    with OnlineReader(path, "headrace", [old, lookup_of(weather, ["alerts"])]) as reader:
        assert reader.read(0, {"origin": "JFK"}, NOON_US).values == [7.0]
        # the new version is not read before all of it is there
        assert reader.read(1, {"origin": "JFK"}, NOON_US + 60 * MINUTE).values is None


def test_values_that_feast_dropped_are_taken_again(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE headrace_weather")  # as `feast apply` without the view does

    with OnlineStore(path, "headrace") as store:
        pushed = store.push_rows(weather, [row("JFK", 0, 7.0)])

    assert pushed.written == 1
    assert wind(path, "JFK") == 7.0


def test_clearing_a_space_leaves_the_others(path):
    with OnlineStore(path, "headrace") as live, OnlineStore(path, "replay") as replay:
        live.push_rows(weather, [row("JFK", 0, 7.0)])
        replay.push_rows(weather, [row("JFK", 0, 1.0)])

        replay.clear()

    assert wind(path, "JFK", "replay") is None
    assert wind(path, "JFK") == 7.0


def test_beginning_again_replaces_all_views_of_the_space_by_what_was_known_then(path):
    rows = [row("JFK", 0, 7.0), row("JFK", 5, 8.0), row("JFK", 6, 9.0, known=90)]
    with OnlineStore(path, "replay") as store:
        store.push_rows(weather, [row("JFK", 100, 1.0), row("LGA", 0, 1.0)])
        store.push_rows(runways, [(9, NOON_US, NOON_US, 3000.0)])
        table = as_table(rows)

        pushed = store.begin_again([(weather, table)], NOON + timedelta(minutes=60))

    assert pushed == [Pushed(rows=1, written=1, older=0)]
    assert (wind(path, "JFK", "replay"), wind(path, "LGA", "replay")) == (8.0, None)
    with OnlineReader(path, "replay", [lookup_of(runways)]) as reader:
        assert reader.read(0, {"runway": 9}, NOON_US).values is None


def as_table(rows: list[tuple[Any, ...]]) -> pa.Table:
    names = ["origin", "event_time", "known_time", "wind", "seen", "alerts"]
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    for name in ("event_time", "known_time"):
        position = table.column_names.index(name)
        table = table.set_column(position, name, table[name].cast(US))
    return table


def test_plain_rows_are_the_tables_in_the_views_order():
    rows = [row("JFK", 0, 7.0, alerts=2), row("LGA", 5, None)]

    assert plain_rows(weather, as_table(rows)) == rows


def test_the_online_store_lies_beside_feasts_registry(tmp_path):
    with using_settings(home=tmp_path):
        assert online_file() == tmp_path / "features" / "online.db"


def test_a_crash_of_the_writer_loses_nothing_that_was_pushed(path):
    code = f"""
import os, pathlib, signal
from features.airport_weather import airport_weather
from features.online import OnlineStore
store = OnlineStore(pathlib.Path({str(path)!r}), "headrace")
for i in range(50):
    store.push_rows(airport_weather, [("JFK", {NOON_US} + i, {NOON_US} + i, *[float(i)] * 7)])
os.kill(os.getpid(), signal.SIGKILL)
"""

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == -9
    assert path.with_name("online.db-wal").stat().st_size > 0
    with OnlineReader(path, "headrace", [lookup_of(airport_weather)]) as reader:
        assert reader.read(0, {"origin": "JFK"}, NOON_US + 49).values == [49.0] * 7


# what is refused, in whole words


def refused(path: Path, kind: type[Exception], *rows: tuple[Any, ...]) -> str:
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0)])
        with pytest.raises(kind) as error:
            store.push_rows(weather, [row("JFK", 1, 8.0), *rows])
    assert wind(path, "JFK") == 7.0  # nothing of the push is written
    return str(error.value)


def test_a_row_without_an_entity_is_refused(path):
    assert refused(path, DataError, row(None, 0, 1.0)) == (
        "A row of view 'weather' has no 'origin', so that it is about no entity.\n"
        "  Fix: Leave rows without an entity out."
    )


def test_a_key_of_another_type_is_refused(path):
    assert refused(path, DataError, row(9, 0, 1.0)) == (
        "A row of view 'weather' has the key 'origin' 9, of type int; it should be a text.\n"
        "  Fix: Give each key the type that the view's entity has."
    )


@pytest.mark.parametrize("key", ["9", True, 9.0, 1 << 63])
def test_an_integer_key_takes_integers_of_64_bits_only(path, key):
    with OnlineStore(path, "headrace") as store, pytest.raises(DataError) as error:
        store.push_rows(runways, [(key, NOON_US, NOON_US, 1.0)])

    assert f"has the key 'runway' {key!r}, of type {type(key).__name__}; it" in str(error.value)


@pytest.mark.parametrize(
    ("feature", "value", "dtype"),
    [
        ("wind", "strong", "float"),
        ("alerts", 1.5, "int"),
        ("alerts", 1 << 63, "int"),
        ("seen", "noon", "timestamp"),
    ],
)
def test_a_feature_of_another_type_is_refused(path, feature, value, dtype):
    values = {"wind": 1.0} | {feature: value}

    assert refused(path, DataError, row("LGA", 0, **values)) == (
        f"The feature '{feature}' of view 'weather' is {value!r}, of type {type(value).__name__}, "
        f"which cannot be stored as {dtype}.\n"
        "  Fix: Give features the types that the view declares."
    )


def test_an_instant_that_feast_would_cut_is_refused(path):
    assert refused(path, DataError, row("LGA", 0, 1.0, seen=NOON_US + 500_000)) == (
        "The feature 'seen' of view 'weather' is 2024-05-01T12:00:00.500000+00:00, but Feast keeps "
        "instants online in whole seconds.\n"
        "  Fix: Round it to seconds where the view computes it, so that it is the same offline."
    )


def test_a_row_that_is_not_known_yet_is_refused(path):
    assert refused(path, LeakageError, row("LGA", 0, 1.0, known=24 * 60 + 1)) == (
        "A row of view 'weather' is known only from 2024-05-02T12:01:00+00:00, and now it is "
        "2024-05-02T12:00:00+00:00: the online store never holds the future.\n"
        "  Fix: Push it once it is known."
    )


def test_a_row_known_before_it_happened_is_refused(path):
    assert refused(path, LeakageError, row("LGA", 10, 1.0, known=9)) == (
        "A row of view 'weather' claims to be known at 2024-05-01T12:09:00+00:00, before it "
        "happened at 2024-05-01T12:10:00+00:00.\n"
        "  Fix: Give it the moment from which it could be used."
    )


def test_a_row_without_times_or_of_another_width_is_refused(path):
    assert refused(path, DataError, ("LGA", None, NOON, 1.0, None, None)) == (
        f"A row of view 'weather' has the times None and {NOON!r}.\n"
        "  Fix: Give event time and known time as whole microseconds since 1970 UTC."
    )
    assert refused(path, DataError, ("LGA", NOON_US, NOON_US, 1.0)) == (
        "A row of view 'weather' has 4 values; it should have 6: keys, event time, known time, "
        "features.\n  Fix: Make plain rows with plain_rows(view, table)."
    )


def test_a_table_that_does_not_fit_the_view_is_refused(path):
    table = as_table([row("JFK", 0, 7.0)]).rename_columns(
        ["origin", "event_time", "known_time", "wnd", "seen", "alerts"]
    )

    with OnlineStore(path, "headrace") as store, pytest.raises(BoundaryError) as error:
        store.push(weather, table)

    assert str(error.value) == (
        "What is pushed to view 'weather' does not fit schema 'weather': column 'wind' is missing. "
        "Did you mean 'wnd'?\n  Fix: Correct the data, or declare the schema as the data is."
    )


def test_the_live_space_does_not_begin_again(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0)])
        with pytest.raises(DefinitionError) as error:
            store.begin_again([], NOON)

    assert wind(path, "JFK") == 7.0
    assert str(error.value) == (
        "The online space 'headrace' is the live one and does not begin again.\n"
        "  Fix: Replay into a space of its own; `materialize` brings the live one up to date."
    )


def test_beginning_again_needs_a_moment_with_a_zone(path):
    with OnlineStore(path, "replay") as store, pytest.raises(ParameterError) as error:
        store.begin_again([], datetime(2024, 5, 1))

    assert str(error.value) == (
        "The argument 'as_of' is 2024-05-01T00:00:00, a time without a zone.\n"
        "  Fix: Say the zone, for example with tzinfo=UTC."
    )


def test_a_space_needs_a_name_that_can_be_a_feast_project(path):
    with pytest.raises(DefinitionError) as error:
        OnlineStore(path, "flight-delay")

    assert str(error.value) == (
        "Online space 'flight-delay' has a name that is not lower-case letters, digits and "
        "underscores.\n  Fix: Name it like 'airport_weather'."
    )


def test_two_spaces_never_share_a_table(path):
    bay = replace(weather, name="bay_weather")
    with OnlineStore(path, "replay") as one, OnlineStore(path, "replay_bay") as other:
        one.push_rows(bay, [row("SFO", 0, 7.0)])
        with pytest.raises(DefinitionError) as error:
            other.push_rows(weather, [row("SFO", 0, 1.0)])

    assert wind(path, "SFO", "replay_bay") is None
    assert str(error.value) == (
        "View 'weather' in the online space 'replay_bay' would share its table "
        "'replay_bay_weather' with view 'bay_weather' in the space 'replay'.\n"
        "  Fix: Use another name for the space."
    )


# what the machine does to it


def test_a_store_locked_by_another_writer_is_waited_for_and_then_said(path):
    with OnlineStore(path, "headrace", wait_seconds=0.05) as store:
        store.push_rows(weather, [row("JFK", 0, 7.0)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError) as error:
                store.push_rows(weather, [row("JFK", 1, 8.0)])
            assert wind(path, "JFK") == 7.0  # readers do not wait for writers
        pushed = store.push_rows(weather, [row("JFK", 1, 8.0)])

    assert pushed.written == 1
    assert str(error.value) == (
        f"The online store {path} was locked by another writer for more than 0.05 s.\n"
        "  Fix: Let the other one finish, then try again; nothing of this was written."
    )


def test_a_full_disk_leaves_nothing_of_the_push_and_the_store_usable(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("JFK", 0, 7.0)])
        pages = store._file.execute("PRAGMA page_count").fetchone()[0]
        store._file.execute(f"PRAGMA max_page_count = {pages + 2}")  # no more room on disk
        with pytest.raises(StoreError) as error:
            store.push_rows(
                weather, [row("JFK", 1, 8.0), *(row(f"A{i}", 1, 8.0) for i in range(999))]
            )
        assert wind(path, "JFK") == 7.0
        pushed = store.push_rows(weather, [row("JFK", 1, 9.0)])

    assert pushed.written == 1
    assert wind(path, "JFK") == 9.0
    assert str(error.value) == (
        f"The online store {path} could not be written: there is no room left.\n"
        "  Fix: Make room, then try again; nothing of this was written."
    )


def test_a_file_that_is_no_database_is_said_to_be_damaged(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be taken for one" * 20)

    with pytest.raises(DamagedArtifactError) as error:
        OnlineStore(path, "headrace")

    assert str(error.value) == (
        f"The online store {path} is damaged: file is not a database.\n"
        "  Fix: Stop who uses it, remove the file and those named like it with -wal and -shm, and "
        "materialize the views again."
    )


def test_a_damaged_page_is_said_to_be_damage(path):
    with OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row(f"A{i}", 0, 7.0) for i in range(500)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(DamagedArtifactError), OnlineStore(path, "headrace") as store:
        store.push_rows(weather, [row("A1", 1, 7.0)])


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "features").write_text("in the way")

    with pytest.raises(StoreError) as error:
        OnlineStore(tmp_path / "features" / "online.db", "headrace")

    assert str(error.value) == (
        f"The folder {tmp_path / 'features'} cannot be made: File exists.\n"
        "  Fix: Check the folder and who may write there, then try again."
    )


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "online.db").mkdir()

    with pytest.raises(StoreError) as error:
        OnlineStore(tmp_path / "online.db", "headrace")

    assert str(error.value) == (
        f"The online store {tmp_path / 'online.db'} cannot be used: unable to open database file.\n"
        "  Fix: Check the folder and who may read and write there, then try again."
    )
