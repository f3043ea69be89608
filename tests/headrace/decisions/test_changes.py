"""These tests specify how files of a log change under its readers: merged, dropped, or killed."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headrace.clock import from_us
from headrace.decisions import (
    DecisionLog,
    Floor,
    Retained,
    Retention,
    Tail,
    compact,
    open_view,
    retain,
    would_drop,
)
from headrace.decisions.fields import schema_of
from headrace.decisions.folder import LogFolder
from headrace.decisions.manifest import ParquetFile, manifest_of
from headrace.decisions.merging import merges_of
from headrace.errors import DamagedArtifactError, ParameterError

HERE = Path(__file__).parent
COLUMNS = ("distance", "wind", "carrier")
DAY_US = 86_400_000_000
VIEWS = ("decisions", "shadows", "outcomes", "outcome_history")
# the columns of before A/B tests, API clients and corrections
OLD = {
    "decisions": "id decided_at logged model score answer entity columns overridden missing "
    "generation experiment candidates propensities features texts more segment place",
    "shadows": "id logged model score error ms experiment more segment place",
    "outcomes": "id known_at logged value more segment place",
}
Make = Callable[..., dict[str, Any]]


def rows_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    database = open_view(folder)
    return {
        view: database.execute(f"FROM {view} ORDER BY segment, place").fetchall() for view in VIEWS
    }


@pytest.fixture
def days(folder: Path, decision: Make, shadow: Make, outcome: Make) -> Callable[..., None]:
    """Log ten decisions a day, with shadows and outcomes, in two sealed segments for each day."""

    def write(*numbers: int, **changed: Any) -> None:
        for day in numbers:
            for half in range(2):
                with DecisionLog.open(folder, writer=f"day{day}") as log:
                    log.columns(COLUMNS)
                    for n in range(5 * half, 5 * half + 5):
                        name, logged = f"{day}/{n}", day * DAY_US + n
                        made = decision(name, logged=logged, at=logged, **changed)
                        log.append([made, shadow(name, logged=logged)])
                        log.append([outcome(name, 1.0, logged=logged)])

    return write


def decided(folder: Path) -> list[int]:
    """Return the days of which there are decisions."""
    found = open_view(folder).execute("SELECT DISTINCT split_part(id, '/', 1) FROM decisions")
    return sorted(int(day) for (day,) in found.fetchall())


def drop(folder: Path, keep: Retention, day: float, **floor: Any) -> Retained:
    moment = from_us(round(day * DAY_US))
    told = would_drop(folder, keep, now=moment, floor=Floor(**floor))
    done = retain(folder, keep, now=moment, floor=Floor(**floor), kept_seconds=0)
    assert done == told
    return done


# --- merging ---


def file_of(name: str, *, day: int, size: int) -> ParquetFile:
    moment = day * DAY_US
    return ParquetFile(table="decisions", name=name, rows=1, bytes=size, first=moment, last=moment)


def merged(files: list[ParquetFile]) -> list[str]:
    return ["".join(file.name for file in group) for group in merges_of(files, large=100)]


def test_files_of_a_day_that_is_over_become_one_and_days_stay_apart():
    days_of = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}
    files = [file_of(name, day=day, size=1) for name, day in days_of.items()]

    assert merged(files) == ["ab", "cd"]


def test_files_of_the_newest_day_wait_until_they_are_many():
    files = [file_of(name, day=3, size=1) for name in "abcdefgh"]

    assert merged(files[:7]) == []
    assert merged(files) == ["abcdefgh"]


def test_a_file_is_merged_until_it_is_large():
    sizes = {"a": 60, "b": 30, "c": 30, "d": 100, "e": 70}
    files = [file_of(name, day=0, size=size) for name, size in sizes.items()]

    assert merged([*files, file_of("f", day=1, size=1)]) == ["ab", "ce"]


def test_merging_changes_no_row(folder, days):
    days(0, 1, 2)
    before = rows_of(folder)

    done = compact(folder)

    assert rows_of(folder) == before
    # the two of the newest day wait for more of their kind
    assert len(manifest_of(LogFolder(folder)).of("decisions")) == 4
    assert done.merged == 3 * 4


def test_a_reader_keeps_the_files_that_it_began_with(folder, days):
    days(0, 1)
    compact(folder)
    days(2)
    reader = open_view(folder)
    before = reader.execute("SELECT count(*) FROM decisions").fetchone()

    compact(folder, kept_seconds=0)
    drop(folder, Retention(keep_days=1), 2.1)

    assert reader.execute("SELECT count(*) FROM decisions").fetchone() == before == (30,)
    kept = {path.stem for path in folder.glob("parquet/decisions/*")}
    del reader
    gc.collect()
    compact(folder, kept_seconds=0)
    left = {path.stem for path in folder.glob("parquet/decisions/*")}
    assert left == {file.name for file in manifest_of(LogFolder(folder)).of("decisions")} < kept


def test_what_was_merged_stays_for_those_who_copy_it(folder, days):
    days(0, 1)
    compact(folder, kept_seconds=3600)
    before = set(folder.glob("parquet/*/*"))

    compact(folder, kept_seconds=3600)

    assert set(folder.glob("parquet/*/*")) == before
    compact(folder, kept_seconds=0)
    assert len(list(folder.glob("parquet/decisions/*"))) == 3


def test_views_are_whole_while_others_merge_and_drop(folder, days):
    days(0, 1, 2)
    compact(folder, kept_seconds=0)
    ends = threading.Event()
    failed: list[BaseException] = []

    def change() -> None:
        try:
            for day in range(3, 9):
                days(day)
                compact(folder, kept_seconds=0, remember=10)
                drop(folder, Retention(keep_days=2), day + 0.5)
        except BaseException as error:
            failed.append(error)
        finally:
            ends.set()

    changing = threading.Thread(target=change)
    changing.start()
    seen = []
    while not ends.is_set():
        database = open_view(folder)
        seen.append(
            database.execute(
                "SELECT count(*), count(DISTINCT id), "
                "(SELECT count(DISTINCT id) FROM outcomes) FROM decisions"
            ).fetchone()
        )
    changing.join()

    assert failed == []
    for count, different, told in seen:
        assert count == different
        assert told >= different - 1  # one decision may have been logged without its outcome yet


# --- retention ---


def test_nothing_is_dropped_while_nobody_said_how_long_it_is_kept(folder, days):
    days(0, 1, 2)
    compact(folder)

    done = drop(folder, Retention(), 10_000)

    assert done == Retained()
    assert decided(folder) == [0, 1, 2]


def test_what_is_older_goes_with_its_shadows_outcomes_and_segments(folder, days):
    days(0, 1, 2, 3)
    compact(folder)
    segments = len(LogFolder(folder).names())

    done = drop(folder, Retention(keep_days=1.5), 3.6)

    assert decided(folder) == [3]
    assert (done.decisions, done.shadows, done.outcomes) == (30, 30, 30)
    assert done.limit == round(2.1 * DAY_US)
    assert done.segments == segments - 2 == 6
    assert {len(found) for found in rows_of(folder).values()} == {10}
    with DecisionLog.open(folder, writer="other") as log:
        assert log.decision("0/0") is None
        assert log.decision("3/9") is not None


def test_what_was_dropped_is_gone_from_the_disk_and_does_not_come_back(folder, days):
    days(0, 5)
    compact(folder)

    drop(folder, Retention(keep_days=2), 6)
    compact(folder, kept_seconds=0)

    assert decided(folder) == [5]
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"day5" in content
    assert b"day0" not in content


def test_a_decision_stays_for_twice_the_time_that_its_outcome_may_take(folder, days):
    days(0, 1, 2, 3)
    compact(folder)

    drop(folder, Retention(keep_days=1), 3.5, window_hours=36.0)

    assert decided(folder) == [1, 2, 3]


def test_a_decision_of_an_experiment_that_runs_stays(folder, days):
    days(0, experiment="a")
    days(1, experiment=None)
    days(2, experiment=None, experiments=["x", "b"])
    days(3, 4)
    compact(folder)

    done = drop(folder, Retention(keep_days=1), 4.5, experiments=frozenset({"b", "c"}))

    assert decided(folder) == [2, 4]
    assert done.spared == 10
    assert {"2", "4"} <= {row[0].split("/")[0] for row in rows_of(folder)["outcomes"]}


def test_so_many_of_the_newest_stay_however_old_they_are(folder, days):
    days(0, 1, 2)
    compact(folder)

    done = drop(folder, Retention(keep_days=1, at_least_decisions=11), 1000)

    assert decided(folder) == [1, 2]
    assert done.spared == 20


def test_what_is_still_written_stays(folder, decision):
    log = DecisionLog.open(folder, writer="lane")
    log.columns(COLUMNS)
    log.append([decision("UA1", logged=0, at=0)])

    drop(folder, Retention(keep_days=1), 1000)

    assert open_view(folder).execute("SELECT id FROM decisions").fetchall() == [("UA1",)]
    log.close()


def test_an_outcome_stays_as_long_as_its_decision(folder, decision, outcome):
    with DecisionLog.open(folder, writer="lane") as log:
        log.columns(COLUMNS)
        log.append([decision("old", logged=0, at=0), decision("young", logged=9 * DAY_US)])
    with DecisionLog.open(folder, writer="told") as log:
        log.append([outcome("old", 1.0, logged=DAY_US)])
    compact(folder)

    drop(folder, Retention(keep_days=2), 10)

    assert [row[0] for row in rows_of(folder)["outcomes"]] == ["old"]


@pytest.mark.parametrize(("days_", "least"), [(0, 0), (-1, 0), (1, -1)])
def test_a_retention_makes_sense(days_, least):
    with pytest.raises(ParameterError) as refused:
        Retention(keep_days=days_, at_least_decisions=least)

    assert str(refused.value) == (
        f"Decisions cannot be kept for {days_} days, and at least {least} of them.\n"
        "  Fix: Give more than 0 days, or None to keep all, and a count from 0."
    )


# --- files of before ---


def make_old(folder: Path) -> None:
    """Leave the files that were there before there was a manifest: one a segment, fewer columns."""
    for path in folder.glob("parquet/*/*.parquet"):
        if path.stem.startswith("merged"):
            path.unlink()
        else:
            rows = pq.read_table(path)
            pq.write_table(rows.select(OLD[path.parent.name].split()), path)
    (folder / "tables.json").unlink()


def test_files_of_before_are_read_and_lack_what_they_did_not_have(folder, days, decision):
    days(0, 1)
    before = rows_of(folder)
    compact(folder)
    make_old(folder)
    assert rows_of(folder) == before

    with DecisionLog.open(folder, writer="new") as log:
        log.columns(COLUMNS)
        log.append([decision("new", logged=2 * DAY_US, client="shop", rank=1)])

    for _ in range(2):  # not compacted, and compacted
        found = open_view(folder).execute(
            "SELECT client, rank, count(*) FROM decisions GROUP BY ALL ORDER BY rank"
        )
        assert found.fetchall() == [("shop", 1, 1), (None, None, 20)]
        told = open_view(folder).execute("SELECT DISTINCT name, corrects, late FROM outcomes")
        assert told.fetchall() == [("", False, False)]
        compact(folder)
    assert manifest_of(LogFolder(folder)).version > 0


def test_old_files_are_merged_with_new_ones(folder, days):
    days(0)
    compact(folder)
    make_old(folder)
    days(1)
    before = rows_of(folder)

    compact(folder)

    assert rows_of(folder) == before
    [file] = [f for f in manifest_of(LogFolder(folder)).of("decisions") if "merged" in f.name]
    merged_rows = pq.read_table(LogFolder(folder).parquet("decisions", file.name))
    assert merged_rows.schema.equals(schema_of("decisions"))
    assert merged_rows.column("client").null_count == 10


def test_old_files_are_dropped_by_what_they_hold(folder, days):
    days(0, 9)
    compact(folder)
    make_old(folder)

    done = drop(folder, Retention(keep_days=2), 10)

    assert done.decisions == 10
    assert decided(folder) == [9]


def test_a_damaged_manifest_is_told_and_stops_no_answer(folder, days, decision):
    days(0)
    compact(folder)
    (folder / "tables.json").write_text("{")

    with pytest.raises(DamagedArtifactError) as damaged:
        open_view(folder)
    with DecisionLog.open(folder, writer="lane") as log:
        log.columns(COLUMNS)
        log.append([decision("UA1")])

    assert str(damaged.value) == (
        f"'{folder / 'tables.json'}' does not say which Parquet files of the decision log count.\n"
        "  Fix: Restore it from a copy, or remove it: every file counts then, and of a record that "
        "is in several the views show one."
    )


# --- outcomes ---


def test_of_what_was_told_the_latest_correction_holds(folder, decision, outcome):
    with DecisionLog.open(folder, writer="lane") as log:
        log.columns(COLUMNS)
        log.append([decision("UA1"), decision("UA2")])
        log.append([outcome("UA1", 1.0, logged=1), outcome("UA2", 5.0, logged=1)])
        log.append([outcome("UA1", 2.0, logged=2)])  # told twice: the first counts
        log.append([outcome("UA2", 6.0, logged=4) | {"corrects": True, "source": "audit"}])
        log.append([outcome("UA2", 7.0, logged=3) | {"corrects": True}])
        log.append([outcome("UA2", 8.0, logged=5)])
        log.append([outcome("UA2", 1.0, logged=5) | {"name": "refund", "late": True}])
        told = log.outcomes("UA2")

    assert [(each["logged"], each["value"]) for each in told] == [
        (1, 5.0), (3, 7.0), (4, 6.0), (5, 8.0), (5, 1.0),
    ]  # fmt: skip
    for _ in range(2):  # not compacted, and compacted
        view = open_view(folder)
        assert view.execute(
            "SELECT id, name, value, corrected, source, late FROM outcomes ORDER BY id, name"
        ).fetchall() == [
            ("UA1", "", 1.0, 0, None, False),
            ("UA2", "", 6.0, 2, "audit", False),
            ("UA2", "refund", 1.0, 0, None, True),
        ]
        assert view.execute("SELECT count(*) FROM outcome_history").fetchone() == (7,)
        compact(folder)


# --- killed at any moment ---


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets calls go wrong."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler to stand before the C library")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    flags = ["-shared", "-fPIC", "-w", "-D_FORTIFY_SOURCE=0"]
    source = HERE.parent / "faults.c"
    subprocess.run([compiler, *flags, "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    "trials", [12, pytest.param(250, marks=pytest.mark.lengthy)], ids=["some calls", "many calls"]
)
def test_killed_at_any_call_each_record_is_there_once(faults: Path, trials: int):
    memory = Path("/dev/shm")  # noqa: S108  where many trials need not wait for a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as work:
        done = subprocess.run(
            [sys.executable, HERE / "_crashing_changes.py", work, str(trials)],
            env=os.environ | {"LD_PRELOAD": str(faults)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["broken"] == []
    assert said["crashed"] >= trials  # half-way through a read nothing dies
    assert min(said["calls"]) > 500  # the faults were there


def test_a_tail_goes_on_when_segments_are_dropped(folder, days):
    days(0)
    tail = Tail.open(folder)
    read = [document["id"] for _, document in tail.poll(3)]
    compact(folder)
    days(5)

    drop(folder, Retention(keep_days=1), 6)
    read += [document["id"] for _, document in tail.poll()]

    assert read[:3] == ["0/0", "0/1", "0/2"]
    assert read[-10:] == [f"5/{n}" for n in range(10)]
    tail.close()
