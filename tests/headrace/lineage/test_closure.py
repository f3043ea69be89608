"""These tests specify the walk through lineage and how a graph prints."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import ParameterError, UnknownNameError
from headrace.lineage import (
    ArtifactRecord,
    EdgeRecord,
    InvocationRecord,
    Lineage,
    LineageGraph,
    RunRecord,
)

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    """Remember ingest → label → train in one run, and the same label reused in a second."""
    lineage = Lineage(tmp_path / "lineage.db")
    for run in ("r1", "r2"):
        lineage.start_run(RunRecord(id=run, flow="f", started_at=NOON))
    call(lineage, "ingest", reads=[], makes=["flights"])
    call(lineage, "label", reads=["flights"], makes=["labels"])
    call(lineage, "train", reads=["labels", "flights"], makes=["model"])
    call(lineage, "label2", reads=["flights"], makes=["labels"], run="r2", reuses="label")
    return lineage


def call(
    lineage: Lineage,
    name: str,
    *,
    reads: list[str],
    makes: list[str],
    run: str = "r1",
    reuses: str | None = None,
) -> None:
    lineage.record(
        InvocationRecord(
            id=name,
            run_id=run,
            node=name,
            operator=name.rstrip("2"),
            state="cached" if reuses else "executed",
            reused_from=reuses,
            started_at=NOON,
            inputs=tuple(EdgeRecord(name=each, digest=each, kind="Table") for each in reads),
            outputs=tuple(EdgeRecord(name="out", digest=each, kind="Table") for each in makes),
        ),
        [ArtifactRecord(digest=each, kind="Table", rows=1_000) for each in makes],
    )


def ids(graph: LineageGraph) -> list[str]:
    return [node.id for node in graph.nodes]


def test_up_leads_to_every_cause_and_causes_come_first(lineage: Lineage):
    graph = lineage.closure("model", "up")

    assert ids(graph) == ["ingest", "flights", "label", "labels", "train", "model"]
    assert {(e.earlier, e.later, e.sort, e.name) for e in graph.edges} == {
        ("ingest", "flights", "output", "out"),
        ("flights", "label", "input", "flights"),
        ("label", "labels", "output", "out"),
        ("labels", "train", "input", "labels"),
        ("flights", "train", "input", "flights"),
        ("train", "model", "output", "out"),
    }


def test_down_leads_to_every_consequence_in_any_run(lineage: Lineage):
    graph = lineage.closure("label", "down")

    assert set(ids(graph)) == {"label", "labels", "label2", "train", "model"}


def test_up_from_an_artifact_goes_to_its_maker_and_not_to_who_reused_it(lineage: Lineage):
    graph = lineage.closure("labels", "up")

    assert ids(graph) == ["ingest", "flights", "label", "labels"]


def test_a_cached_invocation_leads_to_the_one_that_executed(lineage: Lineage):
    graph = lineage.closure("label2", "up")

    assert ("label", "label2", "reuse") in {(e.earlier, e.later, e.sort) for e in graph.edges}


def test_an_operator_that_returns_its_input_makes_no_endless_walk(lineage: Lineage):
    call(lineage, "validate", reads=["flights"], makes=["flights"])

    graph = lineage.closure("flights", "up")

    assert set(ids(graph)) == {"ingest", "validate", "flights"}
    assert len(graph.edges) == 3


def test_a_node_without_edges_is_a_graph_of_itself(lineage: Lineage):
    call(lineage, "alone", reads=[], makes=[])

    graph = lineage.closure("alone", "up")

    assert (ids(graph), graph.edges) == (["alone"], ())


def test_an_unknown_node_is_said(lineage: Lineage):
    with pytest.raises(UnknownNameError) as caught:
        lineage.closure("nothing", "up")

    assert str(caught.value) == (
        "Lineage knows no artifact or invocation 'nothing'.\n"
        "  Fix: give the whole digest or id; `headrace lineage REF` finds them by a prefix."
    )


def test_an_unknown_direction_is_said(lineage: Lineage):
    with pytest.raises(ParameterError) as caught:
        lineage.closure("model", "sideways")  # type: ignore[arg-type]

    assert str(caught.value) == (
        "The direction is 'sideways'; it may be 'up' or 'down'.\n"
        "  Fix: ask 'up' for what led to it, or 'down' for what came of it."
    )


def test_a_graph_prints_as_a_table(lineage: Lineage):
    table = lineage.closure("labels", "up").table()

    assert table.splitlines() == [
        "   what    id       detail                        from",
        "   ingest  ingest   executed, f/ingest in run r1",
        "   Table   flights  1,000 rows                    out=ingest ingest",
        "   label   label    executed, f/label in run r1   flights=Table flights",
        "*  Table   labels   1,000 rows                    out=label label",
    ]


def test_a_graph_draws_as_mermaid(lineage: Lineage):
    drawn = lineage.closure("label2", "up").mermaid()

    lines = drawn.splitlines()
    assert lines[:5] == [
        "flowchart LR",
        '    n0["ingest<br/>ingest<br/>executed, f/ingest in run r1"]',
        '    n1(["Table<br/>flights<br/>1,000 rows"])',
        '    n2["label<br/>label<br/>executed, f/label in run r1"]',
        '    n3["label<br/>label2<br/>cached, f/label2 in run r2"]',
    ]
    assert sorted(lines[5:]) == [
        '    n0 -->|"out"| n1',
        '    n1 -->|"flights"| n2',
        '    n1 -->|"flights"| n3',
        '    n2 -.->|"reused"| n3',
    ]


def test_a_graph_is_json(lineage: Lineage):
    written = lineage.closure("flights", "up").to_json()

    assert (written["root"], written["direction"]) == ("flights", "up")
    assert [node["id"] for node in written["nodes"]] == ["ingest", "flights"]
    assert written["edges"] == [
        {"earlier": "ingest", "later": "flights", "sort": "output", "name": "out"}
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(st.sets(st.integers(0, 9), max_size=3), st.integers(0, 9)),
        min_size=1,
        max_size=12,
    ),
    direction=st.sampled_from(["up", "down"]),
)
def test_the_walk_reaches_what_following_every_edge_reaches(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[set[int], int]],
    direction: str,
):
    lineage = Lineage(tmp_path_factory.mktemp("walk") / "lineage.db")
    lineage.start_run(RunRecord(id="r1", flow="f", started_at=NOON))
    pairs: set[tuple[str, str]] = set()
    for position, (reads, makes) in enumerate(calls):
        call(lineage, f"i{position}", reads=[f"a{n}" for n in reads], makes=[f"a{makes}"])
        pairs |= {(f"a{n}", f"i{position}") for n in reads} | {(f"i{position}", f"a{makes}")}

    graph = lineage.closure("i0", direction)  # type: ignore[arg-type]

    near, far = (1, 0) if direction == "up" else (0, 1)
    reached = {"i0"}
    while more := {pair[far] for pair in pairs if pair[near] in reached} - reached:
        reached |= more
    assert sorted(ids(graph)) == sorted(reached)
    assert {(e.earlier, e.later) for e in graph.edges} == {
        pair for pair in pairs if pair[near] in reached
    }
