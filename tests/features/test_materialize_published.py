"""Filling the online store from published rows: in batches, on after a crash, by version."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import _materialize_run
from features._published import (
    Published,
    folder_of,
    number_of,
    rows_file,
    version_of,
    write_record,
)
from features.materialize import Materialization, materialize, materialize_published
from features.online import OnlineStore, online_file
from features.online_lookup import Lookup, lookup_of
from features.online_reader import OnlineReader
from features.online_versions import forget_version, materialized, versions_online
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import (
    DamagedArtifactError,
    DataError,
    DefinitionError,
    LeakageError,
    ParameterError,
    StoreError,
    UnknownNameError,
)
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

US = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_US = 1_714_564_800_000_000
MINUTE = 60_000_000
NOW = NOON + timedelta(days=1)


def as_given(source: pa.Table) -> pa.Table:
    return source


riders = FeatureView(
    name="riders",
    entities=(Entity(name="rider", column="rider", dtype="int"),),
    source=TableSchema(name="Source", columns=(Column(name="rider", dtype="int"),)),
    features=(
        Column(name="rides", dtype="int"),
        Column(name="twice", dtype="float"),
        Column(name="seen", dtype="timestamp"),
    ),
    compute=as_given,
    owner="city",
    description="What is known of a rider.",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOW)):
        yield tmp_path


def rows_of(*rows: tuple[int | None, float, float, int]) -> pa.Table:
    """Rows: rider, minutes of the event and of when it was known, rides."""
    rides = [row[3] for row in rows]
    return pa.table(
        {
            "rider": pa.array([row[0] for row in rows], pa.int64()),
            "event_time": pa.array([NOON + timedelta(minutes=row[1]) for row in rows], US),
            "known_time": pa.array([NOON + timedelta(minutes=row[2]) for row in rows], US),
            "rides": pa.array(rides, pa.int64()),
            "twice": pa.array([2.0 * ride for ride in rides]),
            "seen": pa.array([NOON] * len(rows), US),
        }
    )


def generation(number: int, count: int) -> pa.Table:
    """Rows about `count` riders, all of one minute."""
    return rows_of(*((rider, number, number, number) for rider in range(count)))


def put(table: pa.Table, view: FeatureView = riders) -> Published:
    """Publish rows as `publish` does, without telling Feast, whose import takes seconds."""
    record = Published(
        view=view.name,
        digest="rows",
        version=version_of(view),
        number=number_of(view),
        rows=table.num_rows,
        file=f"{number_of(view)}.parquet",
        newest_event=NOW.isoformat(),
        newest_known=NOW.isoformat(),
        published_at=NOW.isoformat(),
        definition=view.definition(),
    )
    folder_of(view.name).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, rows_file(record))
    write_record(record)
    return record


def rides(rider: int, lookup: Lookup | None = None) -> Any:
    with OnlineReader(online_file(), "headrace", [lookup or lookup_of(riders)]) as reader:
        found = reader.read(0, {"rider": rider}, NOON_US + 1_440 * MINUTE)
    return None if found.values is None else found.values[0]


def stored(table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(online_file())) as connection:
        values = connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall()  # noqa: S608
        facts = connection.execute(f'SELECT * FROM "{table}.facts" ORDER BY 1').fetchall()  # noqa: S608
    return [*values, *facts]


# what is written


def test_published_rows_are_written_as_pushed_ones_are(home):
    table = rows_of((7, 5, 6, 1), (-7, 1, 1, 2), (7, 4, 90, 3), (1 << 40, 2, 2, 4), (-7, 1, 9, 5))
    put(table)

    done = materialize_published("riders")

    assert done == Materialization(
        changed=True,
        view="riders",
        space="headrace",
        until=NOW.isoformat(),
        rows=5,
        entities=3,
        written=3,
        older=0,
        same=0,
        number=0,
        since=None,
        resumed=False,
    )
    bulk = stored("headrace_riders")
    with OnlineStore(online_file(), "other") as store:
        store.push(riders, table)
    assert bulk == stored("other_riders")
    assert [rides(rider) for rider in (7, -7, 1 << 40, 8)] == [1, 5, 4, None]


def test_the_operator_and_the_published_file_write_the_same():
    table = rows_of(*((rider % 50, rider % 7, rider % 11 + 7, rider) for rider in range(500)))
    put(table)
    materialize_published("riders", space="file")

    materialize(Table.of(table, schema=riders.schema), view=riders, space="memory")

    assert stored("file_riders") == stored("memory_riders")
    again = materialize_published("riders", space="memory")
    assert (again.changed, again.since) == (False, NOW.isoformat())  # the rows are seen as the same


def test_rows_that_are_read_in_several_parts_give_each_entity_its_newest(monkeypatch):
    monkeypatch.setattr(_materialize_run, "_READ", 16)
    monkeypatch.setattr(_materialize_run, "BATCH", 10)
    events = [(rider, 37 * (i + rider) % 101, 101, i) for i in range(40) for rider in range(30)]
    newest = {rider: max(e for e in events if e[0] == rider) for rider in range(30)}
    put(rows_of(*events))

    done = materialize_published("riders")

    newest = {r: max((e for e in events if e[0] == r), key=lambda e: e[1])[3] for r in range(30)}
    assert done.written == 30
    assert {rider: rides(rider) for rider in range(30)} == newest


def test_a_view_without_entities_has_one_row():
    city = replace(riders, name="city", entities=())
    put(rows_of((0, 1, 1, 3), (0, 5, 5, 4), (0, 2, 9, 9)).drop_columns(["rider"]), city)

    done = materialize_published("city")

    assert (done.entities, done.written) == (1, 1)
    with OnlineReader(online_file(), "headrace", [lookup_of(city, ["rides"])]) as reader:
        assert reader.read(0, {}, NOON_US + 60 * MINUTE).values == [4]


# only what is needed


def test_rows_known_since_the_last_time_are_enough():
    first = generation(1, 20)
    put(first)
    before = materialize_published("riders", until=NOON + timedelta(minutes=10))

    put(pa.concat_tables([first, rows_of((3, 5, 12, 7), (99, 5, 12, 8))]))
    done = materialize_published("riders")

    assert (before.entities, before.written) == (20, 20)
    assert done.since == "2024-05-01T12:10:00+00:00"
    assert (done.rows, done.entities, done.written, done.same) == (22, 21, 2, 19)
    assert [rides(rider) for rider in (3, 4, 99)] == [7, 1, 8]


def test_rows_that_changed_without_a_later_word_are_written_again():
    put(generation(1, 3))
    materialize_published("riders")

    put(rows_of((0, 1, 1, 1), (1, 1, 1, 5), (2, 1, 1, 1)))
    done = materialize_published("riders")

    assert done.since is None
    assert (done.written, done.same) == (1, 2)
    assert rides(1) == 5


def test_all_rows_are_looked_at_again_when_asked_for():
    put(generation(1, 3))
    materialize_published("riders")
    with closing(sqlite3.connect(online_file())) as connection, connection:
        connection.execute("DELETE FROM headrace_riders")  # by hand
        connection.execute('DELETE FROM "headrace_riders.facts"')

    needless = materialize_published("riders")
    full = materialize_published("riders", full=True)

    assert (needless.written, full.written) == (0, 3)
    assert rides(1) == 1


def test_an_earlier_moment_than_the_last_takes_nothing_away():
    put(pa.concat_tables([generation(1, 2), generation(20, 1)]))
    materialize_published("riders")

    earlier = materialize_published("riders", until=NOON + timedelta(minutes=5))

    assert (earlier.rows, earlier.written, earlier.older, earlier.same) == (2, 0, 1, 1)
    assert rides(0) == 20
    assert materialize_published("riders").changed is False


# after a crash

_CHILD = """
import sys, time
from datetime import datetime
from pathlib import Path
from features import _materialize_run
from features.materialize import materialize_published
from headrace.settings import using_settings

def tell(text):
    print(text, flush=True)
    time.sleep(60)  # until it is killed

_materialize_run._READ = _materialize_run.BATCH = 1000
with using_settings(home=Path(sys.argv[1])):
    materialize_published("riders", until=datetime.fromisoformat(sys.argv[2]), say=tell)
"""


def killed_midway(home: Path, until: datetime) -> str:
    """Let a process materialize and kill it after it said how far it is."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(home), until.isoformat()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    with child:
        assert child.stdout is not None
        said = child.stdout.readline().strip()
        child.send_signal(signal.SIGKILL)
    return said


def test_after_kill_9_the_next_run_goes_on_and_nobody_reads_a_part(home):
    put(generation(1, 5_000))
    until = NOON + timedelta(hours=1)

    said = killed_midway(home, until)

    assert said == "materialize riders: 1,000 of 5,000 rows, 1,000 entities"
    assert materialized("riders") is None
    (version,) = versions_online("riders")
    assert (version.whole, version.under_way, version.until) == (False, True, None)
    with closing(sqlite3.connect(online_file())) as connection, connection:
        there = connection.execute('SELECT entity_key FROM "headrace_riders.facts"').fetchall()
        # what was done is not done again: a row that is gone stays gone
        connection.execute('DELETE FROM "headrace_riders.facts" WHERE entity_key = ?', there[0])
    assert len(there) == 1_000
    assert [rides(rider) for rider in range(0, 5_000, 500)] == [None] * 10

    done = materialize_published("riders", until=until)

    assert (done.resumed, done.written, done.entities) == (True, 5_000, 5_000)
    with closing(sqlite3.connect(online_file())) as connection:
        count = connection.execute('SELECT count(*) FROM "headrace_riders.facts"').fetchone()[0]
    assert count == 4_999
    found = materialized("riders")
    assert found is not None
    assert (found.number, found.until, found.under_way) == (0, until, False)


def test_what_became_known_after_the_crash_is_written_too(home):
    first = generation(1, 3_000)
    put(first)
    killed_midway(home, NOON + timedelta(minutes=10))

    put(pa.concat_tables([first, rows_of((1, 20, 20, 7), (3_000, 20, 20, 8))]))
    done = materialize_published("riders")

    assert (done.resumed, done.written) == (True, 3_002)
    assert [rides(rider) for rider in (0, 1, 2_999, 3_000)] == [1, 7, 1, 8]


def test_a_crash_leaves_what_was_read_before_and_other_rows_begin_again(home):
    put(generation(1, 3_000))
    materialize_published("riders", until=NOON + timedelta(minutes=2))
    put(generation(5, 3_000))
    killed_midway(home, NOON + timedelta(minutes=10))
    readable = {rides(rider) for rider in range(0, 3_000, 100)}

    put(generation(6, 3_000))
    done = materialize_published("riders")

    assert readable == {1, 5}
    assert (done.resumed, done.written) == (False, 3_000)
    assert {rides(rider) for rider in range(0, 3_000, 100)} == {6}


# while others read


def test_readers_always_find_whole_rows_while_it_runs(monkeypatch):
    monkeypatch.setattr(_materialize_run, "_READ", 50)
    monkeypatch.setattr(_materialize_run, "BATCH", 50)
    count, wrong, seen, done = 400, [], set(), threading.Event()
    put(generation(0, count))
    materialize_published("riders")

    def watch() -> None:
        with OnlineReader(online_file(), "headrace", [lookup_of(riders)]) as reader:
            rider = 0
            while not done.is_set():
                rider = (rider + 7) % count
                found = reader.read(0, {"rider": rider}, NOON_US + 1_440 * MINUTE)
                if found.values is None:
                    wrong.append(found)
                    continue
                number, twice, _ = found.values
                seen.add(number)
                if twice != 2 * number or found.event_us != NOON_US + number * MINUTE:
                    wrong.append(found)

    watching = threading.Thread(target=watch)
    watching.start()
    for number in range(1, 12):
        put(generation(number, count))
        materialize_published("riders")
    done.set()
    watching.join()

    assert wrong == []
    assert len(seen) > 3


def test_a_new_version_is_read_only_once_it_is_whole(monkeypatch):
    monkeypatch.setattr(_materialize_run, "_READ", 10)
    monkeypatch.setattr(_materialize_run, "BATCH", 10)
    put(generation(1, 100))
    materialize_published("riders")
    old = lookup_of(riders)
    newer = replace(riders, ttl=timedelta(days=9))
    put(generation(2, 100), newer)
    during: list[tuple[Any, Any]] = []

    def look(_: str) -> None:
        during.append((rides(0, old), rides(0, lookup_of(newer))))

    done = materialize_published("riders", say=look)

    assert done.number == 1
    assert len(during) > 5
    assert set(during[:-1]) == {(1, None)}
    assert (rides(0, old), rides(0, lookup_of(newer))) == (1, 2)  # each stays with its version
    assert [each.number for each in versions_online("riders")] == [0, 1]


def test_an_earlier_version_is_materialized_from_what_was_published_of_it():
    put(generation(1, 3))
    newer = replace(riders, ttl=timedelta(days=9))
    put(generation(2, 3), newer)

    done = materialize_published("riders@v0")

    assert (done.number, done.written) == (0, 3)
    assert materialized("riders", 1) is None
    assert rides(0, replace_number(lookup_of(newer), 0)) == 1


def replace_number(lookup: Lookup, number: int) -> Lookup:
    return replace(lookup, number=number)


def test_an_old_version_is_removed_on_purpose_only():
    put(generation(1, 3))
    materialize_published("riders")
    old = lookup_of(riders)
    put(generation(2, 3), replace(riders, ttl=timedelta(days=9)))
    with pytest.raises(DefinitionError) as refused:
        forget_version("riders", 0)
    materialize_published("riders")

    forget_version("riders", 0)

    assert rides(0, old) is None
    assert [each.number for each in versions_online("riders")] == [1]
    with pytest.raises(UnknownNameError) as unknown:
        forget_version("riders", 0)
    assert str(refused.value) == (
        "Version v0 of view 'riders' is the newest that is whole in the online space 'headrace', "
        "so that it is read.\n  Fix: Materialize a newer version first."
    )
    assert str(unknown.value) == (
        "Version v0 of view 'riders' is not in the online space 'headrace'; there is v1.\n"
        "  Fix: Name a version that is online."
    )


def test_a_file_of_before_versions_is_brought_up_to_date():
    put(generation(1, 2))
    materialize_published("riders")
    with closing(sqlite3.connect(online_file())) as connection, connection:
        connection.execute('DROP TABLE "headrace.materialized"')
        connection.execute('ALTER TABLE "headrace.views" DROP COLUMN whole')
        connection.execute('ALTER TABLE "headrace.views" DROP COLUMN number')
    (before,) = versions_online("riders")
    read_before = rides(1)

    done = materialize_published("riders")

    assert (before.number, before.whole, before.until, read_before) == (0, True, None, 1)
    assert (done.written, done.same) == (0, 2)
    (after,) = versions_online("riders")
    assert after.until == NOW


# what is wrong


def test_a_wrong_value_far_down_is_named_and_nothing_is_written():
    put(generation(1, 100))
    materialize_published("riders")
    table = generation(2, 3_000)
    seen = table.column("seen").to_pylist()
    seen[2_500] = NOON + timedelta(microseconds=1)
    put(table.set_column(5, "seen", pa.array(seen, US)))

    with pytest.raises(DataError) as error:
        materialize_published("riders")

    assert rides(0) == 1
    assert str(error.value) == (
        "The published rows of view 'riders', row 2,500, rider 2500: the feature 'seen' is "
        "2024-05-01T12:00:00.000001+00:00, but Feast keeps instants online in whole seconds.\n"
        "  Fix: Round it to seconds where the view computes it, so that it is the same offline."
    )


@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [
        pytest.param(
            (None, 1, 1, 1),
            DataError,
            "The published rows of view 'riders', row 1, rider None: 'rider' is null.",
            id="no key",
        ),
        pytest.param(
            (5, 9, 1, 1),
            LeakageError,
            "The published rows of view 'riders', row 1, rider 5: claims to be known at "
            "2024-05-01T12:01:00+00:00, before it happened at 2024-05-01T12:09:00+00:00.",
            id="known before it happened",
        ),
    ],
)
def test_a_row_that_cannot_be_is_named(row, kind, says):
    put(rows_of((1, 1, 1, 1), row))

    with pytest.raises(kind) as error:
        materialize_published("riders")

    assert error.value.problem == says
    assert not online_file().exists()


def test_no_room_on_the_disk_leaves_what_was_there_and_the_next_run_goes_on(monkeypatch):
    monkeypatch.setattr(_materialize_run, "_READ", 100)
    monkeypatch.setattr(_materialize_run, "BATCH", 100)
    put(generation(1, 10))
    materialize_published("riders")
    put(generation(2, 3_000))
    opened = _materialize_run.OnlineFile

    class FullDisk(opened):  # type: ignore[misc, valid-type]
        def __init__(self, path: Path, *, wait_seconds: float) -> None:
            super().__init__(path, wait_seconds=wait_seconds)
            self.execute("PRAGMA max_page_count = 60")

    with monkeypatch.context() as patched:
        patched.setattr(_materialize_run, "OnlineFile", FullDisk)
        with pytest.raises(StoreError) as error:
            materialize_published("riders")
    after = {rides(rider) for rider in range(10)}
    done = materialize_published("riders")

    assert after <= {1, 2}
    assert (done.resumed, done.written) == (True, 3_000)
    said, remedy = error.value.problem, error.value.remedy
    assert said.startswith(
        f"The online store {online_file()} could not be written: there is no room left. Of view "
        "'riders' "
    )
    assert said.endswith(" of 3,000 rows were done.")
    assert remedy == "Make room, then materialize again: it goes on from there."


def test_only_one_at_a_time_materializes_the_same(monkeypatch):
    put(generation(1, 10))
    errors: list[str] = []

    def another(_: str) -> None:
        with pytest.raises(StoreError) as error:
            materialize_published("riders")
        errors.append(str(error.value))

    materialize_published("riders", say=another)

    assert errors == [
        "View 'riders' is being materialized into the online space 'headrace' by another process "
        "or thread.\n  Fix: Let the other one finish, then try again."
    ]


def test_a_moment_in_the_future_is_refused():
    put(generation(1, 1))

    with pytest.raises(ParameterError) as error:
        materialize_published("riders", until=NOW + timedelta(hours=1))

    assert str(error.value) == (
        "The argument 'until' is 2024-05-02T13:00:00+00:00, in the future: now it is "
        "2024-05-02T12:00:00+00:00.\n  Fix: Leave it out, or name a moment that has come."
    )


def damage(record: Published) -> None:
    rows_file(record).write_bytes(b"PAR1 but not whole")


def remove(record: Published) -> None:
    rows_file(record).unlink()


@pytest.mark.parametrize(
    ("do", "kind", "remedy"),
    [
        pytest.param(
            damage,
            DamagedArtifactError,
            "Remove the file and publish the view again; what is online stays.",
            id="damaged",
        ),
        pytest.param(remove, StoreError, "Publish the view again.", id="gone"),
    ],
)
def test_published_rows_that_cannot_be_read_are_named(
    do: Callable[[Published], None], kind: type[StoreError], remedy: str
):
    do(put(generation(1, 1)))

    with pytest.raises(kind) as error:
        materialize_published("riders")

    assert error.value.problem.startswith("The published rows of view 'riders' ")
    assert error.value.remedy == remedy


def test_a_view_of_which_nothing_is_published_is_named():
    with pytest.raises(StoreError) as error:
        materialize_published("airport_weather")

    assert str(error.value) == (
        "Nothing is published of view 'airport_weather', so that there is nothing to "
        "materialize.\n  Fix: Run the flow that publishes it."
    )


def test_a_view_that_there_is_not_gets_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        materialize_published("airport_wether")

    assert "Did you mean 'airport_weather'" in error.value.problem
