"""These tests specify what lineage remembers and what it answers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from headrace.errors import DataError, DefinitionError, ParameterError, UnknownNameError
from headrace.lineage import (
    ArtifactRecord,
    EdgeRecord,
    InvocationRecord,
    Lineage,
    RunRecord,
)

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path / "lineage.db")


def run(name: str, *, flow: str = "flight_delay", minutes: int = 0) -> RunRecord:
    return RunRecord(id=name, flow=flow, started_at=NOON + timedelta(minutes=minutes))


def invocation(
    name: str, *, of: str = "r1", node: str = "ingest", **more: object
) -> InvocationRecord:
    known = {"operator": node, "state": "executed", "started_at": NOON}
    return InvocationRecord(id=name, run_id=of, node=node, **(known | more))  # type: ignore[arg-type]


def edge(digest: str, *, name: str = "table", kind: str = "Table") -> EdgeRecord:
    return EdgeRecord(name=name, digest=digest, kind=kind)


def test_a_run_comes_back_as_it_was_recorded(lineage: Lineage):
    started = RunRecord(
        id="r1",
        flow="flight_delay",
        parameters={"late_after": 15.0, "carriers": ["UA", None]},
        started_at=NOON,
        state="running",
        origin="command line",
        actor="ada",
        seed=2**64 + 1,
        machine={"cpu": "x86_64", "threads": 2},
    )

    lineage.start_run(started)

    assert lineage.run("r1") == started


def test_the_end_of_a_run_and_its_other_names_are_added_later(lineage: Lineage):
    lineage.start_run(run("r1"))

    lineage.update_run("r1", prefect_run_id="p", mlflow_run_id="m")
    lineage.finish_run("r1", "failed", "no rows", NOON + timedelta(seconds=3))

    ended = lineage.run("r1")
    assert (ended.prefect_run_id, ended.mlflow_run_id) == ("p", "m")
    assert (ended.state, ended.message) == ("failed", "no rows")
    assert ended.ended_at == NOON + timedelta(seconds=3)


def test_moments_are_kept_in_utc_whatever_their_zone(lineage: Lineage):
    moment = datetime(2013, 6, 1, 8, tzinfo=timezone(timedelta(hours=-4)))

    lineage.start_run(RunRecord(id="r1", flow="f", started_at=moment))

    kept = lineage.run("r1").started_at
    assert (kept, kept.utcoffset()) == (NOON, timedelta(0))


def test_a_moment_without_a_zone_is_refused(lineage: Lineage):
    with pytest.raises(DefinitionError) as caught:
        lineage.start_run(RunRecord(id="r1", flow="f", started_at=datetime(2013, 6, 1)))

    assert str(caught.value) == (
        "The time 2013-06-01T00:00:00 has no zone.\n"
        "  Fix: record times as current_clock().now() gives them, in UTC."
    )


def test_a_parameter_that_is_not_json_is_refused(lineage: Lineage):
    with pytest.raises(DataError) as caught:
        lineage.start_run(RunRecord(id="r1", flow="f", parameters={"x": {1}}, started_at=NOON))

    assert str(caught.value) == (
        "A value cannot be recorded: Object of type set is not JSON serializable.\n"
        "  Fix: record text, numbers, booleans, None, and lists and dicts of these."
    )


def test_only_the_names_of_a_run_can_be_updated(lineage: Lineage):
    lineage.start_run(run("r1"))

    with pytest.raises(ParameterError) as caught:
        lineage.update_run("r1", flow="other")

    assert str(caught.value) == (
        "A run's 'flow' does not change once it is recorded.\n"
        "  Fix: update 'prefect_run_id' or 'mlflow_run_id'; end it with finish_run."
    )


def test_runs_are_listed_newest_first_and_by_flow(lineage: Lineage):
    for name, flow, minutes in [("a", "f", 0), ("b", "g", 1), ("c", "f", 2)]:
        lineage.start_run(run(name, flow=flow, minutes=minutes))

    newest, of_f = lineage.runs(2), lineage.runs(flow="f")

    assert [each.id for each in newest] == ["c", "b"]
    assert [each.id for each in of_f] == ["c", "a"]


def test_an_invocation_comes_back_with_its_edges_in_order(lineage: Lineage):
    lineage.start_run(run("r1"))
    recorded = invocation(
        "i1",
        key="k",
        key_parts=[{"kind": "code", "name": "ingest", "digest": "d"}],
        uncached_because=[],
        seed=7,
        seconds=0.25,
        parameters={"path": "flights.csv"},
        attributes={"isolation": "none"},
        inputs=(edge("d2", name="b"), edge("d1", name="a"), edge("d2", name="c")),
        outputs=(edge("d4", name="test", kind="TestSet"), edge("d3", name="train")),
    )
    made = ArtifactRecord(
        digest="d3", kind="Table", schema={"c": "int64"}, rows=3, bytes=10, uri="file:///d3"
    )

    lineage.record(recorded, [made])

    assert lineage.invocation("i1") == recorded
    assert lineage.invocations("r1") == [recorded]
    assert lineage.artifact("d3") == made


def test_recording_the_same_invocation_twice_changes_nothing(lineage: Lineage):
    lineage.start_run(run("r1"))
    recorded = invocation("i1", outputs=(edge("d1"),))

    for _ in range(2):
        lineage.record(recorded, [ArtifactRecord(digest="d1", kind="Table")])

    assert lineage.invocations("r1") == [recorded]
    assert len(lineage.closure("d1", "up").edges) == 1


def test_an_invocation_of_a_run_that_never_started_is_refused_whole(lineage: Lineage):
    with pytest.raises(UnknownNameError) as caught:
        lineage.record(invocation("i1", of="r9"), [ArtifactRecord(digest="d1", kind="Table")])

    assert str(caught.value) == (
        "There is no run 'r9'.\n  Fix: list the runs with `headrace runs`."
    )
    with pytest.raises(UnknownNameError):
        lineage.artifact("d1")


def test_the_same_content_may_be_artifacts_of_two_kinds(lineage: Lineage):
    lineage.start_run(run("r1"))
    kinds = [ArtifactRecord(digest="d1", kind=kind) for kind in ("Table", "TestSet")]

    lineage.record(invocation("i1"), kinds)

    assert lineage.artifact("d1", kind="TestSet") == kinds[1]
    assert lineage.artifact("d1", kind="Table") == kinds[0]


def test_the_newest_pure_invocation_that_executed_can_be_reused(lineage: Lineage):
    lineage.start_run(run("r1"))
    later = NOON + timedelta(minutes=1)
    lineage.record(invocation("old", key="k"))
    lineage.record(invocation("new", key="k", started_at=later, outputs=(edge("d1"),)))
    for state in ("cached", "failed", "skipped"):
        lineage.record(invocation(state, key="k", state=state, started_at=later + timedelta(1)))
    lineage.record(invocation("effect", key="e", effect=True))

    found = lineage.reusable("k")

    assert found == lineage.invocation("new")
    assert lineage.reusable("e") is None
    assert lineage.reusable("unknown") is None


def test_the_last_result_of_a_node_is_found_in_any_run_of_its_flow(lineage: Lineage):
    for name, flow in [("r1", "f"), ("r2", "f"), ("r3", "g")]:
        lineage.start_run(run(name, flow=flow))
    lineage.record(invocation("i1", of="r1", node="train", started_at=NOON))
    lineage.record(invocation("i2", of="r2", node="train", started_at=NOON + timedelta(1)))
    lineage.record(
        invocation("i3", of="r2", node="train", state="failed", started_at=NOON + timedelta(2))
    )
    lineage.record(invocation("i4", of="r3", node="train", started_at=NOON + timedelta(3)))

    found = lineage.last_of("f", "train")

    assert found is not None
    assert found.id == "i2"
    assert lineage.last_of("f", "select") is None


def test_every_look_at_a_test_set_is_counted_with_who_and_when(lineage: Lineage):
    lineage.start_run(RunRecord(id="r1", flow="flight_delay", started_at=NOON, actor="ada"))
    test_set = edge("t", name="test", kind="TestSet")
    lineage.record(invocation("made", node="split", outputs=(test_set,)))
    lineage.record(invocation("first", node="evaluate", inputs=(test_set,)))
    lineage.record(
        invocation(
            "again", node="evaluate", state="cached", reused_from="first", inputs=(test_set,)
        )
    )
    lineage.record(
        invocation(
            "broken",
            node="peek",
            state="failed",
            inputs=(test_set,),
            started_at=NOON + timedelta(1),
        )
    )
    lineage.record(invocation("skipped", node="x", state="skipped", inputs=(test_set,)))
    lineage.record(invocation("as table", node="y", inputs=(edge("t", kind="Table"),)))

    looks = lineage.looks("t")

    assert [(look.node, look.state) for look in looks] == [
        ("evaluate", "executed"),
        ("peek", "failed"),
    ]
    assert (looks[0].actor, looks[0].flow, looks[0].at) == ("ada", "flight_delay", NOON)
    assert looks[0].parameter == "test"


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from headrace.lineage import ArtifactRecord, EdgeRecord, InvocationRecord, Lineage, RunRecord

lineage, process = Lineage(sys.argv[1]), sys.argv[2]
now = datetime(2013, 6, 1, tzinfo=UTC)
lineage.start_run(RunRecord(id=f"run-{process}", flow="f", started_at=now))

def work(thread):
    for number in range(25):
        name = f"{process}-{thread}-{number}"
        out = EdgeRecord(name="out", digest=f"d-{name}", kind="Table")
        shared = EdgeRecord(name="in", digest="shared", kind="Table")
        lineage.record(
            InvocationRecord(
                id=name, run_id=f"run-{process}", node=name, operator="o", state="executed",
                started_at=now, inputs=(shared,), outputs=(out,),
            ),
            [ArtifactRecord(digest=d, kind="Table") for d in (out.digest, "shared")],
        )
        assert lineage.invocation(name).outputs == (out,)

with ThreadPoolExecutor(8) as pool:
    list(pool.map(work, range(8)))
"""


def test_threads_of_several_processes_open_and_write_one_database_at_once(tmp_path: Path):
    path = tmp_path / "lineage.db"

    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(process)])
        for process in range(2)
    ]
    codes = [writer.wait(timeout=120) for writer in writers]

    lineage = Lineage(path)
    assert codes == [0, 0]
    assert [len(lineage.invocations(f"run-{process}")) for process in range(2)] == [200, 200]
    assert len(lineage.closure("shared", "down").edges) == 800


def test_readers_are_not_stopped_by_a_writer(lineage: Lineage):
    lineage.start_run(run("r1"))

    with lineage.database.writing(), ThreadPoolExecutor(1) as pool:
        read = pool.submit(lineage.run, "r1").result(timeout=5)

    assert read.id == "r1"
