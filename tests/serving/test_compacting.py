"""Compaction of decision logs: by itself, in a process of its own, only when there is work."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.decisions import DecisionLog
from headrace.lineage.database import Database
from headrace.settings import Settings, settings, using_settings
from serving.compacting import Compactor, kept_of


@pytest.fixture
def home(tmp_path: Path):
    with using_settings(home=tmp_path):
        yield settings()


def log_of(of: Settings) -> DecisionLog:
    return DecisionLog.open(of.home / "decisions" / "flight_delay", writer="lane")


def decide(log: DecisionLog, name: str) -> None:
    log.append(
        [
            {
                "kind": "decision",
                "id": name,
                "at": 1,
                "logged": 1,
                "entity": {},
                "columns": log.columns(["distance"]),
                "features": [719.0],
                "model": "flight_delay/1",
                "score": 0.5,
                "answer": {"probability": 0.5},
            }
        ]
    )


def test_a_segment_that_was_sealed_becomes_parquet(home):
    with log_of(home) as log:
        decide(log, "UA1")

    compactor = Compactor(home)
    compactor.look()
    process = compactor._process
    assert process is not None
    assert process.wait(60) == 0

    folder = home.home / "decisions" / "flight_delay"
    assert len(list(folder.glob("parquet/decisions/*.parquet"))) == 1
    compactor.look()
    assert compactor._process is process  # there is nothing more to do


def test_a_segment_that_is_written_to_is_left_alone(home):
    with log_of(home) as log:
        decide(log, "UA1")
        compactor = Compactor(home)

        compactor.look()

        assert compactor._process is None


def test_one_that_is_at_work_ends_when_the_host_does(home):
    with log_of(home) as log:
        decide(log, "UA1")
    compactor = Compactor(home)
    compactor.look()

    compactor.stop()

    assert compactor._process is not None
    assert compactor._process.poll() is not None


def test_what_an_endpoint_need_not_keep_is_dropped(home, capfd):
    from headrace.decisions import open_view
    from serving.endpoints import Endpoints, EndpointSpec

    spec = EndpointSpec(
        model="flight_delay", task="classification", clock="live", space="headrace",
        retention={"keep_days": 90.0, "at_least_decisions": 0},
        outcomes=({"name": "", "window_hours": 48.0},), rule={"label_window_hours": 72.0},
    )  # fmt: skip
    endpoints = Endpoints(Database(home.database_url))
    endpoints.declare("flight_delay", spec=spec, champion="flight_delay/1", reason="first")
    with log_of(home) as log:
        decide(log, "UA1")  # logged in 1970

    compactor = Compactor(home)
    compactor.look()
    assert compactor._process is not None
    assert compactor._process.wait(60) == 0

    with open_view(home.home / "decisions" / "flight_delay") as view:
        assert view.execute("SELECT count(*) FROM decisions").fetchone() == (0,)
    kept, floor = kept_of(spec, endpoints.route("flight_delay"))
    assert (kept.keep_days, floor.window_hours, floor.experiments) == (90.0, 72.0, frozenset())
    said = capfd.readouterr().err
    assert "Of 'flight_delay' were dropped: 1 decisions, 0 shadow scores and 0 outcomes" in said


def test_the_decisions_of_all_comparisons_that_run_stay():
    from serving.endpoints import EndpointSpec
    from serving.route import Rival, Route

    spec = EndpointSpec(model="m", task="classification", clock="live", space="headrace")
    route = Route(
        endpoint="m", generation=1, champion="m/1", challenger="m/2", experiment="first",
        previous=None, also=(Rival(model="m/3", experiment="second"),),
    )  # fmt: skip

    kept, floor = kept_of(spec, route)

    assert kept.keep_days is None
    assert floor.experiments == {"first", "second"}
