"""These tests specify compaction and the view: the same rows before, during and after."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from headrace.decisions import Compacted, DecisionLog, compact, open_view
from headrace.decisions.folder import LogFolder
from headrace.errors import DamagedArtifactError

COLUMNS = ("distance", "wind", "carrier")
VIEWS = ("decisions", "shadows", "outcomes")
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]


def rows_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    database = open_view(folder)
    return {
        view: database.execute(f"FROM {view} ORDER BY segment, place").fetchall() for view in VIEWS
    }


@pytest.fixture
def fill(open_log: Open, decision: Make, shadow: Make, outcome: Make) -> Callable[..., None]:
    """Log decisions with shadows and outcomes in small segments, all sealed in the end."""

    def fill(start: int, end: int, writer: str = "lane") -> None:
        with open_log(writer, segment_bytes=4096) as log:
            log.columns(COLUMNS)
            for n in range(start, end):
                name = f"UA{n}"
                log.append([decision(name, logged=n, score=n / 1000), shadow(name, logged=n)])
                log.append([outcome(name, float(n % 2), logged=n)])

    return fill


def test_an_empty_log_has_empty_views_with_all_columns(folder):
    database = open_view(folder)

    described = {
        view: {name: of for name, of, *_ in database.execute(f"DESCRIBE {view}").fetchall()}
        for view in VIEWS
    }
    rows = [database.execute(f"FROM {view}").fetchall() for view in VIEWS]

    assert rows == [[], [], []]
    place = {"more": "VARCHAR", "segment": "VARCHAR", "place": "BIGINT"}
    assert described == {
        "decisions": {
            "id": "VARCHAR",
            "decided_at": "TIMESTAMP WITH TIME ZONE",
            "logged": "TIMESTAMP WITH TIME ZONE",
            "model": "VARCHAR",
            "score": "DOUBLE",
            "answer": "VARCHAR",
            "entity": "MAP(VARCHAR, VARCHAR)",
            "columns": "BIGINT",
            "overridden": "VARCHAR[]",
            "missing": "VARCHAR[]",
            "generation": "BIGINT",
            "experiment": "VARCHAR",
            "candidates": "VARCHAR[]",
            "propensities": "DOUBLE[]",
            "assigned": "VARCHAR",
            "unit": "VARCHAR",
            "fallback": "VARCHAR",
            "experiments": "VARCHAR[]",
            "client": "VARCHAR",
            "batch": "VARCHAR",
            "rank": "BIGINT",
            "features": "MAP(VARCHAR, DOUBLE)",
            "texts": "MAP(VARCHAR, VARCHAR)",
            **place,
        },
        "shadows": {
            "id": "VARCHAR",
            "logged": "TIMESTAMP WITH TIME ZONE",
            "model": "VARCHAR",
            "score": "DOUBLE",
            "error": "VARCHAR",
            "ms": "DOUBLE",
            "experiment": "VARCHAR",
            **place,
        },
        "outcomes": {
            "id": "VARCHAR",
            "known_at": "TIMESTAMP WITH TIME ZONE",
            "logged": "TIMESTAMP WITH TIME ZONE",
            "value": "DOUBLE",
            "name": "VARCHAR",
            "corrects": "BOOLEAN",
            "source": "VARCHAR",
            "late": "BOOLEAN",
            **place,
            "corrected": "BIGINT",
        },
    }


def test_compaction_changes_the_types_of_no_column(folder, fill):
    fill(0, 3)
    before = open_view(folder)
    compact(folder)
    after = open_view(folder)

    for view in VIEWS:
        question = f"DESCRIBE {view}"
        assert before.execute(question).fetchall() == after.execute(question).fetchall()


def test_a_decision_is_asked_for_its_features_entity_and_answer(open_log, folder, decision):
    log = open_log()
    log.columns(COLUMNS)
    log.append([decision("UA1")])

    found = open_view(folder).execute(
        "SELECT decided_at, features['distance'], features['wind'], texts['carrier'], "
        "entity['origin'], answer->>'probability', missing, features['unknown'] FROM decisions"
    )

    moment, *values = found.fetchone()
    assert moment == datetime(2013, 1, 1, 6, tzinfo=UTC)
    assert values == [1400.0, None, "UA", "EWR", "0.25", ["airport_weather"], None]


def test_models_with_other_features_share_the_views(open_log, folder, decision):
    log = open_log()
    log.columns(COLUMNS)
    other = log.columns(["distance", "tail", "window"])
    log.append([decision("UA1")])
    log.append([decision("UA2", columns=other, features=[True, "N1", [1, 2]])])
    log.append([decision("UA3", columns=other, features=[2**60, 7, None])])
    log.append([decision("UA4", columns=other, features=[2**63, None, None], generation=2**63)])

    found = open_view(folder).execute(
        "SELECT features['distance'], features['tail'], texts['tail'], texts['window'] "
        "FROM decisions ORDER BY id"
    )

    assert found.fetchall() == [
        (1400.0, None, None, None),
        (1.0, None, "N1", "[1,2]"),
        (2.0**60, 7.0, None, None),
        (2.0**63, None, None, None),
    ]


def test_what_no_column_holds_is_kept_as_json(open_log, folder, decision):
    log = open_log()
    log.columns(COLUMNS)
    log.append([decision("UA1"), decision("UA2", score="high", candidates=[1], extra={"a": 1})])
    views = [open_view(folder)]
    log.close()
    compact(folder)
    views.append(open_view(folder))

    for database in views:
        found = database.execute("SELECT score, more FROM decisions ORDER BY id").fetchall()
        assert found[0] == (0.25, None)
        assert found[1][0] is None
        assert json.loads(found[1][1]) == {"score": "high", "candidates": [1], "extra": {"a": 1}}


def test_of_records_with_one_id_the_first_that_was_logged_is_shown(
    open_log, folder, decision, shadow, outcome
):
    first, second = open_log("lane"), open_log("other")
    first.columns(COLUMNS), second.columns(COLUMNS)
    first.append([decision("UA1", logged=2, score=0.2), outcome("UA1", 1.0, logged=2)])
    second.append([decision("UA1", logged=1, score=0.1), outcome("UA1", 0.0, logged=3)])
    first.append([shadow("UA1", logged=1, score=0.3), shadow("UA1", logged=2, score=0.4)])
    first.append([shadow("UA1", model="flight_delay/5", logged=3, score=0.5)])
    first.close()
    compact(folder)

    database = open_view(folder)

    assert database.execute("SELECT score FROM decisions").fetchall() == [(0.1,)]
    assert first is not second
    assert second.decision("UA1")["score"] == 0.1
    assert database.execute("SELECT value FROM outcomes").fetchall() == [(1.0,)]
    assert database.execute("SELECT model, score FROM shadows ORDER BY model").fetchall() == [
        ("flight_delay/4", 0.3),
        ("flight_delay/5", 0.5),
    ]


def test_the_view_is_the_same_before_and_after_compaction(folder, fill):
    fill(0, 40)
    fill(40, 50, writer="other")
    before = rows_of(folder)

    done = compact(folder)
    after = rows_of(folder)

    assert [len(before[view]) for view in VIEWS] == [50, 50, 50]
    assert after == before
    assert (done.decisions, done.shadows, done.outcomes, done.removed) == (50, 50, 50, 0)
    assert done.segments == len(LogFolder(folder).names())


def test_compacting_again_does_nothing(folder, fill):
    fill(0, 20)
    compact(folder)

    assert compact(folder) == Compacted()


def test_old_segments_are_removed_and_the_last_decisions_are_still_found(folder, fill, open_log):
    fill(0, 100)
    before = rows_of(folder)
    many = len(LogFolder(folder).names())

    done = compact(folder, remember=30)
    log = open_log(remember=30)

    assert 0 < done.removed < many
    assert len(LogFolder(folder).names()) == many - done.removed
    assert all(log.decision(f"UA{n}") and log.outcome(f"UA{n}") for n in range(70, 100))
    assert rows_of(folder) == before


def test_the_name_of_a_removed_segment_is_not_given_again(folder, fill, open_log, decision):
    fill(0, 60)
    compact(folder, remember=1)
    compacted = {path.stem for path in (folder / "parquet" / "decisions").iterdir()}
    (folder / "segments" / "births").unlink()  # the count of segments begins anew

    log = open_log()
    log.columns(COLUMNS)
    log.append([decision("UA60")])

    new = set(LogFolder(folder).names()) - compacted
    assert len(new) == 1
    assert len(rows_of(folder)["decisions"]) == 61


def test_a_log_finds_what_it_remembers_while_segments_are_removed(folder, fill, open_log):
    fill(0, 100)
    log = open_log()

    compact(folder, remember=30)

    assert all(log.decision(f"UA{n}") for n in range(70, 100))
    assert log.decision("UA0") is None


def test_a_compaction_that_was_killed_is_finished_by_the_next(folder, fill):
    fill(0, 200)
    before = rows_of(folder)
    code = (
        "import sys\nfrom pathlib import Path\nfrom headrace.decisions import compact\n"
        "print('begin', flush=True)\ncompact(Path(sys.argv[1]), remember=50)\n"
    )
    killed_at = []
    for parts in (0, 3, 8):  # files that are there when it is killed
        child = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
        with child:
            child.stdout.readline()
            while child.poll() is None and len(list(folder.glob("parquet/*/*.parquet"))) <= parts:
                pass
            child.send_signal(signal.SIGKILL)
        killed_at.append(len(list(folder.glob("parquet/decisions/[!.]*"))))
        assert rows_of(folder) == before

    compact(folder, remember=50)

    assert rows_of(folder) == before
    assert killed_at[0] < len(list(folder.glob("parquet/decisions/*.parquet")))
    assert list(folder.glob("parquet/*/.*")) == []


def test_a_view_is_consistent_while_others_write_and_compact(folder, open_log, decision):
    log = open_log(segment_bytes=8192)
    log.columns(COLUMNS)
    done = threading.Event()
    seen: list[tuple[int, int, int]] = []

    def compact_on_and_on() -> None:
        while not done.is_set():
            compact(folder, remember=20)

    compactor = threading.Thread(target=compact_on_and_on)
    compactor.start()
    for n in range(0, 600, 30):
        log.append([decision(f"UA{k}", logged=k) for k in range(n, n + 30)])
        database = open_view(folder)
        count, low, high = database.execute(
            "SELECT count(*), min(epoch_us(logged)), max(epoch_us(logged)) FROM decisions"
        ).fetchone()
        seen.append((count, low, high))
    done.set()
    compactor.join()

    assert seen == [(n + 30, 0, n + 29) for n in range(0, 600, 30)]


def test_only_one_compacts_at_a_time(folder, fill):
    fill(0, 5)
    other = os.open(folder / "compact.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)

    done = compact(folder)
    os.close(other)

    assert done == Compacted(busy=True)
    assert not (folder / "parquet").exists()


def test_a_damaged_segment_is_not_compacted(folder, fill):
    fill(0, 20)
    path = LogFolder(folder).log("lane-2")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)

    with pytest.raises(DamagedArtifactError, match=f"'{path}' is damaged at byte"):
        compact(folder)

    assert path.read_bytes() == content
    assert not LogFolder(folder).parquet("decisions", "lane-2").exists()


def test_the_views_are_made_in_a_connection_of_ones_own_and_in_no_file(tmp_path, folder, fill):
    fill(0, 5)
    compact(folder)
    with duckdb.connect(tmp_path / "mine.db") as mine:
        assert open_view(folder, mine) is mine
        open_view(folder, mine)
        assert mine.execute("SELECT count(*) FROM decisions").fetchone() == (5,)

    with duckdb.connect(tmp_path / "mine.db") as again:
        assert again.execute("SHOW TABLES").fetchall() == []


def test_a_folder_may_have_signs_that_queries_give_a_meaning(tmp_path, decision):
    folder = tmp_path / "it's [a] *folder?"
    with DecisionLog.open(folder, writer="lane") as log:
        log.columns(COLUMNS)
        log.append([decision("UA1")])

    compact(folder)

    assert open_view(folder).execute("SELECT id FROM decisions").fetchall() == [("UA1",)]


def test_compacting_where_there_is_no_log_does_nothing(folder):
    assert compact(folder) == Compacted()
    assert not folder.exists()
