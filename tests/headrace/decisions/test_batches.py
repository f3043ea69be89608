"""These tests specify batches: many decisions in one record, each found and read as any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.decisions import DecisionLog, Tail, compact, open_view
from headrace.decisions.batches import batch_record, decision_at, decisions_of
from headrace.decisions.columns import Columns, columns_id
from headrace.decisions.folder import LogFolder
from headrace.decisions.frames import BATCH, COLUMNS, DECISION, Frame
from headrace.decisions.tables import tables_of
from headrace.errors import ParameterError

NAMES = ("distance", "wind", "carrier")
CARRIERS = {"carrier": ("UA", "AA")}
SAID = {
    "model": "flight_delay/3", "generation": 1, "experiment": None,
    "candidates": ["flight_delay/3"], "propensities": [1.0],
}  # fmt: skip
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]


def batch(name: str, matrix: Any, *, logged: int = 0, **options: Any) -> dict[str, Any]:
    """Make a batch whose scores are 0.5, 1.5, …"""
    rows = len(matrix)
    options.setdefault("columns", columns_id(NAMES, CARRIERS))
    return batch_record(
        id=name,
        at=1_357_020_000_000_000,
        logged=logged,
        matrix=np.array(matrix, np.float32) if isinstance(matrix, list) else matrix,
        scores=np.arange(rows) + 0.5,
        **{**SAID, **options},
    )


THREE = [[1400.0, np.nan, 0.0], [719.0, 12.5, 1.0], [200.0, 3.0, np.nan]]


@pytest.fixture
def log(open_log: Open) -> DecisionLog:
    log = open_log()
    log.columns(NAMES)
    log.columns(NAMES, CARRIERS)
    return log


def test_a_row_of_a_batch_is_found_as_the_decision_that_it_is(log):
    log.append([batch("b", THREE, client="shop")])

    assert log.decision("b/1") == {
        "kind": "decision", "id": "b/1", "at": 1_357_020_000_000_000, "logged": 0, "entity": {},
        "columns": columns_id(NAMES, CARRIERS), "features": [719.0, 12.5, "AA"],
        "overridden": [], "missing": [], "score": 1.5, "answer": {"probability": 1.5},
        "batch": "b", "client": "shop", **SAID,
    }  # fmt: skip
    assert log.decision("b/0")["features"] == [1400.0, None, "UA"]
    assert log.decision("b/2")["features"] == [200.0, 3.0, None]
    for other in ("b/3", "b/01", "b/-1", "b/", "b", "c/1"):
        assert log.decision(other) is None


def test_a_batch_is_found_by_its_id_to_be_answered_again(log):
    document = batch("b", THREE)
    log.append([document])
    log.append([batch("b", THREE[:1], logged=1)])

    assert log.batch("b") == document
    assert log.batch("c") is None


def test_a_code_without_categories_stays_the_number_that_it_is(log):
    log.append([batch("b", THREE, columns=columns_id(NAMES))])

    assert log.decision("b/1")["features"] == [719.0, 12.5, 1.0]


def test_a_code_that_no_category_has_stays_a_number(log):
    log.append([batch("b", [[1.0, 2.0, 7.0], [1.0, 2.0, -1.0], [1.0, 2.0, 0.5]])])

    assert [log.decision(f"b/{row}")["features"][2] for row in range(3)] == [7.0, -1.0, 0.5]


def test_a_batch_may_name_its_rows(log):
    log.append([batch("b", THREE, ids=["UA1", "x/7", "UA3"])])

    assert log.decision("x/7")["score"] == 1.5
    assert log.decision("UA3")["id"] == "UA3"
    assert log.decision("b/1") is None
    assert log.batch("b")["ids"] == ["UA1", "x/7", "UA3"]
    assert log.batch("UA1") is None


def test_an_id_that_looks_like_a_row_is_any_decision_too(log, decision):
    log.append([decision("b/1", logged=5), decision("c/1", logged=1)])
    log.append([batch("b", THREE, logged=2), batch("c", THREE, logged=2)])

    assert log.decision("b/1")["score"] == 1.5  # the batch was logged first
    assert log.decision("c/1")["score"] == 0.25
    assert log.decision("b/2")["score"] == 2.5


def test_outcomes_and_shadows_are_of_rows(log, folder, outcome, shadow):
    log.append([batch("b", THREE), outcome("b/1", 1.0), shadow("b/2", score=0.25)])

    found = open_view(folder).execute(
        "SELECT d.id, value, s.score FROM decisions d LEFT JOIN outcomes USING (id) "
        "LEFT JOIN shadows s USING (id) ORDER BY d.id"
    )

    assert found.fetchall() == [("b/0", None, None), ("b/1", 1.0, None), ("b/2", None, 0.25)]
    assert log.outcome("b/1")["value"] == 1.0


@pytest.mark.parametrize("how", ["same process", "opened again", "without inventory"])
@pytest.mark.parametrize("named", [False, True], ids=["rows by number", "rows by name"])
def test_rows_are_found_whoever_looks(open_log, folder, how, named):
    ids = [["UA0", "UA1", "UA2"]] if named else [None]
    with open_log("first") as first:
        first.columns(NAMES, CARRIERS)
        first.append([batch("b", THREE, ids=ids[0])])
        if how == "same process":
            found = first.decision("UA1" if named else "b/1")
            stats = first.stats()
    if how != "same process":
        if how == "without inventory":
            LogFolder(folder).idx("first-1").unlink()
        other = open_log("other")  # was not told of the columns
        found, stats = other.decision("UA1" if named else "b/1"), other.stats()

    assert found["features"] == [719.0, 12.5, "AA"]
    assert stats.decisions == 3


def test_a_batch_counts_as_many_decisions_when_the_oldest_are_forgotten(open_log):
    for reopened in (False, True):
        log = open_log("again" if reopened else "lane", remember=1000, segment_bytes=65_536)
        log.columns(NAMES, CARRIERS)
        if not reopened:
            for n in range(40):
                log.append([batch(f"b{n}", [[1.0, 2.0, 0.0]] * 100, logged=n)])
        kept = [log.decision(f"b{n}/99") is not None for n in range(40)]

        assert all(kept[30:])
        assert log.stats().decisions == 4000


def test_a_tail_reads_the_rows_of_a_batch_together(log, folder, decision):
    log.append([decision("UA1"), batch("b", THREE), decision("UA2")])
    tail = Tail.open(folder)

    found = tail.poll(limit=2)
    ids = [document["id"] for _, document in found]
    again = Tail.open(folder, found[1][0])  # as if it had ended after the first row

    assert ids == ["UA1", "b/0", "b/1", "b/2"]
    assert [document["id"] for _, document in again.poll()] == ["b/0", "b/1", "b/2", "UA2"]
    assert [document["id"] for _, document in tail.poll()] == ["UA2"]
    assert found[2][1] == log.decision("b/1")
    tail.close(), again.close()


def test_a_tail_skips_batches_with_all_their_rows(log, folder, decision):
    log.append([decision("UA1"), batch("b", THREE), decision("UA2")])
    tail = Tail.open(folder)

    assert tail.skip_to_newest() == 5
    tail.close()


def test_a_tail_may_read_outcomes_too_and_pass_over_other_experiments(
    log, folder, decision, outcome
):
    log.append([decision("UA1", experiment="e1"), decision("UA2", experiment="e2")])
    log.append([batch("b", THREE, experiment="e1"), batch("c", THREE, experiment="e2")])
    log.append([outcome("UA2", 1.0)])
    tail = Tail.open(folder, kinds=("decision", "outcome"), holding=b'"e1"')

    found = [(document["kind"], document["id"]) for _, document in tail.poll()]

    decisions = [("decision", name) for name in ("UA1", "b/0", "b/1", "b/2")]
    assert found == [*decisions, ("outcome", "UA2")]
    tail.close()


def test_compaction_changes_no_row_of_a_batch(log, folder, decision):
    log.append([decision("UA1"), batch("b", THREE, client="shop"), decision("UA2")])
    log.append([batch("c", THREE, ids=["x", "y", "z"], each={"rank": [2, 0, 1]}, logged=1)])
    question = "FROM decisions ORDER BY id"
    before = open_view(folder).execute(question).fetchall()
    log.close()

    done = compact(folder)

    assert open_view(folder).execute(question).fetchall() == before
    assert (done.decisions, len(before)) == (8, 8)
    assert open_view(folder).execute(
        "SELECT id, batch, rank, client, features['wind'], texts['carrier'], "
        "answer->>'probability' FROM decisions WHERE batch IS NOT NULL ORDER BY id"
    ).fetchall() == [
        ("b/0", "b", None, "shop", None, "UA", "0.5"),
        ("b/1", "b", None, "shop", 12.5, "AA", "1.5"),
        ("b/2", "b", None, "shop", 3.0, None, "2.5"),
        ("x", "c", 2, None, None, "UA", "0.5"),
        ("y", "c", 0, None, 12.5, "AA", "1.5"),
        ("z", "c", 1, None, 3.0, None, "2.5"),
    ]


def test_old_segments_with_batches_are_removed_when_enough_decisions_followed(open_log, folder):
    with open_log(segment_bytes=4096) as log:
        log.columns(NAMES, CARRIERS)
        for n in range(30):
            log.append([batch(f"b{n}", [[1.0, 2.0, 0.0]] * 50, logged=n)])
    many = len(LogFolder(folder).names())

    compact(folder, remember=500)

    with open_log("other", remember=500) as other:
        assert all(other.decision(f"b{n}/49") for n in range(20, 30))
    assert len(LogFolder(folder).names()) < many


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"rows": 0},
            "The batch 'b' has as rows 0, which is not a whole number from 1 to 10000000.",
            id="no rows",
        ),
        pytest.param(
            {"matrix": "AAAA"},
            "The batch 'b' has as matrix 'AAAA', which is not 3 x 3 float32 as base64.",
            id="too little",
        ),
        pytest.param(
            {"scores": "AAAA"},
            "The batch 'b' has as scores 'AAAA', which is not 3 float64 as base64.",
            id="no score for each row",
        ),
        pytest.param(
            {"format": "csv"},
            "The batch 'b' has as format 'csv', which is not 'float32' or 'arrow'.",
            id="unknown format",
        ),
        pytest.param(
            {"ids": ["x", "x", "y"]},
            "The batch 'b' has as ids ['x', 'x', 'y'], which is not 3 different texts of 1 to 200.",
            id="one id twice",
        ),
    ],
)
def test_a_wrong_batch_is_refused(log, change, message):
    with pytest.raises(ParameterError) as refused:
        log.append([batch("b", THREE) | change])

    assert str(refused.value) == (
        f"{message}\n  Fix: Make the record with `batch_record` of headrace.decisions.batches."
    )


numbers = st.one_of(st.floats(width=32, allow_infinity=False), st.integers(0, 3))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["float32", "arrow"]))
def test_a_batch_becomes_the_rows_that_its_decisions_would_become_one_by_one(data, kind):
    rows = data.draw(st.integers(1, 5))
    columns = Columns(NAMES, CARRIERS) if kind == "float32" else Columns(NAMES)
    if kind == "float32":
        cells = st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=rows, max_size=rows)
        matrix: Any = np.array(data.draw(cells), np.float32)
    else:
        texts = st.lists(st.sampled_from(["UA", "AA", None]), min_size=rows, max_size=rows)
        found = st.lists(st.one_of(st.none(), numbers), min_size=rows, max_size=rows)
        matrix = pa.table(
            {
                "carrier": pa.array(data.draw(texts), pa.string()).dictionary_encode(),
                "distance": pa.array(map(_float, data.draw(found)), pa.float64()),
                "wind": pa.array([n % 3 for n in range(rows)], pa.int32()),
            }
        )
    options: dict[str, Any] = {
        "entity": {"origin": ["EWR"] * rows, "tail": [None] * rows},
        "missing": {"weather": [0]},
        "each": {"rank": list(range(rows))},
    }
    document = batch("b", matrix, **(options if data.draw(st.booleans()) else {}), extra=[1])

    alone = [json.loads(orjson.dumps(each)) for each in decisions_of(document, columns)]

    assert alone == [decision_at(document, columns, row) for row in range(rows)]
    number = document["columns"]
    told = Frame(COLUMNS, number, 0, orjson.dumps(columns.to_json(number)), 0, 0)
    as_batch = _table([told, Frame(BATCH, 0, 0, orjson.dumps(document), 7, 0)])
    one_by_one = [Frame(DECISION, 0, 0, orjson.dumps(each), 7, 0) for each in alone]
    assert as_batch.to_pylist() == _table([told, *one_by_one]).to_pylist()
    as_batch.validate(full=True)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _table(frames: list[Frame]) -> pa.Table:
    return pa.concat_tables([table for _, table in tables_of(frames, "lane-1")])
