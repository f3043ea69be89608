"""These tests specify how short references name runs, nodes and artifacts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.errors import UnknownNameError
from headrace.lineage import (
    ArtifactRecord,
    EdgeRecord,
    InvocationRecord,
    Lineage,
    RunRecord,
)

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)
TRAIN, TEST = "a1" + "0" * 62, "a2" + "0" * 62


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    lineage = Lineage(tmp_path / "lineage.db")
    for number, name in enumerate(["7f01", "7f02"]):
        start = NOON + timedelta(hours=number)
        lineage.start_run(RunRecord(id=name, flow="flight_delay", started_at=start))
        outputs = (
            EdgeRecord(name="train", digest=TRAIN, kind="TrainSet"),
            EdgeRecord(name="test", digest=TEST, kind="TestSet"),
        )
        for node in ("split", "late/label.x"):
            lineage.record(
                InvocationRecord(
                    id=f"{node}-{name}",
                    run_id=name,
                    node=node,
                    operator=node,
                    state="executed",
                    started_at=start,
                    outputs=outputs if node == "split" else (),
                ),
                [ArtifactRecord(digest=e.digest, kind=e.kind, rows=2) for e in outputs],
            )
    return lineage


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        pytest.param("run:7f01", "7f01", id="a run"),
        pytest.param("7f02", "7f02", id="a bare run"),
        pytest.param("latest:flight_delay", "7f02", id="the latest run of a flow"),
        pytest.param("run:7f01/split", "split-7f01", id="a node of a run"),
        pytest.param("7f01/split", "split-7f01", id="a node of a bare run"),
        pytest.param("latest:flight_delay/split", "split-7f02", id="the latest of a node"),
        pytest.param("run:7f01/late/label.x", "late/label.x-7f01", id="a path with a dot"),
        pytest.param("split-7f01", "split-7f01", id="an invocation"),
    ],
)
def test_a_reference_names_a_run_or_an_invocation(lineage: Lineage, ref: str, name: str):
    found = lineage.resolve(ref)

    assert not isinstance(found, ArtifactRecord)
    assert found.id == name


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        pytest.param("run:7f01/split.test", (TEST, "TestSet"), id="an output of a node"),
        pytest.param("latest:flight_delay/split.train", (TRAIN, "TrainSet"), id="the latest"),
        pytest.param(f"artifact:{TRAIN}", (TRAIN, "TrainSet"), id="a digest"),
        pytest.param("artifact:a2", (TEST, "TestSet"), id="the beginning of a digest"),
        pytest.param("a1", (TRAIN, "TrainSet"), id="the bare beginning of a digest"),
    ],
)
def test_a_reference_names_an_artifact(lineage: Lineage, ref: str, expected: tuple[str, str]):
    found = lineage.resolve(ref)

    assert isinstance(found, ArtifactRecord)
    assert (found.digest, found.kind, found.rows) == (*expected, 2)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        pytest.param(
            "run:7f",
            "'7f' is the beginning of several: '7f01', '7f02'.\n"
            "  Fix: give more characters, until only one is left.",
            id="two runs",
        ),
        pytest.param(
            "a",
            f"'a' is the beginning of several: 'artifact:{TRAIN}', 'artifact:{TEST}'.\n"
            "  Fix: give more characters, until only one is left.",
            id="two artifacts",
        ),
        pytest.param(
            "run:9",
            "There is no run '9'.\n  Fix: list the runs with `headrace runs` and what they made "
            "with `headrace explain run:<id>`.",
            id="no run",
        ),
        pytest.param(
            "run:",
            "There is no run ''.\n  Fix: list the runs with `headrace runs` and what they made "
            "with `headrace explain run:<id>`.",
            id="nothing",
        ),
        pytest.param(
            "run:7f01/splt",
            "There is no node of the run 7f01 'splt'. Did you mean 'split'?\n"
            "  Fix: name a node, or <node>.<output>; `headrace explain run:<id>` lists them.",
            id="a node misspelt",
        ),
        pytest.param(
            "run:7f01/split.tets",
            "There is no output of the node 'split' named 'tets'. Did you mean 'test'?\n"
            "  Fix: name one of its outputs, or the node alone.",
            id="an output misspelt",
        ),
        pytest.param(
            "latest:flight_dealy/split",
            "There is no run of the flow 'flight_dealy'. Did you mean 'flight_delay'?\n"
            "  Fix: name a flow that has run, as in `latest:flight_delay`.",
            id="a flow misspelt",
        ),
    ],
)
def test_a_reference_to_nothing_or_to_several_says_so(lineage: Lineage, ref: str, message: str):
    with pytest.raises(UnknownNameError) as caught:
        lineage.resolve(ref)

    assert str(caught.value) == message


def test_a_wildcard_is_no_prefix(lineage: Lineage):
    for ref in ("run:%", "artifact:_", "run:*"):
        with pytest.raises(UnknownNameError):
            lineage.resolve(ref)
