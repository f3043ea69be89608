"""What a past run made comes back by any reference to it, with its roles and units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

import pytest

from headrace import Col, Labels, Partitions, Report, Schema, Table, flow, load, operator
from headrace.errors import DamagedArtifactError, HeadraceError, ParameterError, UnknownNameError
from headrace.execution import FlowRun, Session


class Trip(Schema, Protocol):
    trip: Annotated[int, Col(role="entity", description="a trip")]
    late: Annotated[float | None, Col(unit="min")]


class Judged(Trip, Protocol):
    label: Annotated[int, Col(role="label")]


@operator()
def read_trips(*, rows: int) -> Table[Trip]:
    """Make trips."""
    late = [None, 5.0, 25.0, 35.0]
    return Table[Trip].of({"trip": list(range(rows)), "late": late[:rows]})


@operator()
def judge(trips: Table[Trip]) -> tuple[Labels[Judged], Report]:
    """Label trips, and say how many are late."""
    frame = trips.frame()
    labels = frame.assign(label=(frame.late > 10).astype("int64"))
    return Labels.of(labels), Report.of({"passed": True, "late": int(labels.label.sum())})


@operator()
def part(trips: Table[Trip]) -> Partitions[Table[Trip]]:
    """Part trips."""
    frame = trips.frame()
    return Partitions.of({"odd": Table.of(frame[1::2]), "even": Table.of(frame[::2])})


@operator()
def count(trips: list[Table[Trip]]) -> Report:
    """Count trips."""
    return Report.of({"rows": [t.rows for t in trips]})


@flow
def trips_flow(*, rows: int = 4) -> tuple[Labels[Judged], Report, Report]:
    """Judge trips."""
    trips = read_trips(rows=rows)
    labels, report = judge(trips)
    return labels, report, count(part(trips))


@pytest.fixture
def finished(session: Session) -> FlowRun:
    return trips_flow.run()


REFERENCES = [
    pytest.param("run:{run}/read_trips", "read_trips", id="a node"),
    pytest.param("run:{run}/judge.labels", "judge.labels", id="an output"),
    pytest.param("run:{prefix}/judge.report", "judge.report", id="a beginning of the run"),
    pytest.param("{run}/judge.labels", "judge.labels", id="without its sort"),
    pytest.param("latest:trips_flow/count", "count", id="of the latest run"),
    pytest.param("latest:trips_flow/judge.report", "judge.report", id="an output of the latest"),
    pytest.param("artifact:{digest}", "judge.labels", id="a digest"),
    pytest.param("artifact:{digest_prefix}", "judge.labels", id="a beginning of the digest"),
    pytest.param("{digest}", "judge.labels", id="a bare digest"),
]


@pytest.mark.parametrize(("reference", "name"), REFERENCES)
def test_an_artifact_is_found_by(finished: FlowRun, reference: str, name: str) -> None:
    digest = finished["judge.labels"].digest
    known = {"run": finished.id, "prefix": finished.id[:10]}
    known |= {"digest": digest, "digest_prefix": digest[:12]}

    loaded = load(reference.format(**known))

    assert type(loaded) is type(finished[name])
    assert loaded.digest == finished[name].digest


def test_what_is_loaded_has_data_roles_units_and_nulls(finished: FlowRun) -> None:
    labels = load(f"run:{finished.id}/judge.labels")

    assert isinstance(labels, Labels)
    assert labels.schema is not None
    assert {c.name: (c.dtype, c.nullable, c.role, c.unit) for c in labels.schema.columns} == {
        "trip": ("int", False, "entity", None),
        "late": ("float", True, None, "min"),
        "label": ("int", False, "label", None),
    }
    assert labels.schema.column("trip").description == "a trip"
    assert labels.arrow().to_pydict() == {
        "trip": [0, 1, 2, 3],
        "late": [None, 5.0, 25.0, 35.0],
        "label": [0, 0, 1, 1],
    }


def test_partitions_come_back_under_their_names(finished: FlowRun) -> None:
    parts = load("latest:trips_flow/part")

    assert isinstance(parts, Partitions)
    assert {name: table.frame()["trip"].to_list() for name, table in parts.items.items()} == {
        "odd": [1, 3],
        "even": [0, 2],
    }


def test_the_latest_run_wins_also_where_it_reused(finished: FlowRun, session: Session) -> None:
    fewer = trips_flow.run(rows=2)
    trips_flow.run()

    trips = load("latest:trips_flow/read_trips")

    assert isinstance(trips, Table)
    assert trips.rows == 4
    assert load(f"run:{fewer.id}/read_trips").digest != trips.digest


def test_an_error_of_a_reference_says_what_would_have_been_right(finished: FlowRun) -> None:
    short = finished.id[:12]

    def told(reference: str) -> tuple[type, str]:
        with pytest.raises(HeadraceError) as caught:
            load(reference)
        return type(caught.value), str(caught.value)

    assert told(f"run:{finished.id}/juge") == (
        UnknownNameError,
        f"There is no node of the run {short} 'juge'. Did you mean 'judge'?\n"
        "  Fix: name a node, or <node>.<output>; `headrace explain run:<id>` lists them.",
    )
    assert told("latest:trips_flow/cuont") == (
        UnknownNameError,
        "There is no finished node of the flow 'trips_flow' 'cuont'. Did you mean 'count'?\n"
        "  Fix: name a node, or <node>.<output>; `headrace explain run:<id>` lists them.",
    )
    assert told("latest:trip_flow/count") == (
        UnknownNameError,
        "There is no run of the flow 'trip_flow'. Did you mean 'trips_flow'?\n"
        "  Fix: name a flow that has run, as in `latest:trips_flow`.",
    )
    assert told(f"run:{short}/judge.label") == (
        UnknownNameError,
        "There is no output of the node 'judge' named 'label'. Did you mean 'labels'?\n"
        "  Fix: name one of its outputs, or the node alone.",
    )
    assert told("latest:trips_flow/judge") == (
        ParameterError,
        "'latest:trips_flow/judge' has 2 outputs: 'latest:trips_flow/judge.labels', "
        "'latest:trips_flow/judge.report'.\n"
        "  Fix: Name one of them.",
    )
    assert told(f"run:{short}") == (
        ParameterError,
        f"'run:{short}' is a run, not an artifact.\n"
        f"  Fix: Name a node of it, as `headrace runs` and `headrace explain run:{short}` show.",
    )
    assert told("run:zzzz/judge") == (
        UnknownNameError,
        "There is no run 'zzzz'.\n"
        "  Fix: list the runs with `headrace runs` and what they made with "
        "`headrace explain run:<id>`.",
    )
    assert told("artifact:zzzz") == (
        UnknownNameError,
        "There is no artifact 'zzzz'.\n"
        "  Fix: list the runs with `headrace runs` and what they made with "
        "`headrace explain run:<id>`.",
    )


def test_a_damaged_artifact_is_said_and_not_loaded(finished: FlowRun, home: Path) -> None:
    digest = finished["read_trips"].digest
    (stored,) = (home / "store").rglob(f"{digest}/*.parquet")
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-9] + b"corrupted")

    loaded = load("latest:trips_flow/read_trips")

    assert isinstance(loaded, Table)
    with pytest.raises(DamagedArtifactError, match=digest[:12]):
        loaded.frame()
