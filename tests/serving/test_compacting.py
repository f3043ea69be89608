"""Compaction of decision logs: by itself, in a process of its own, only when there is work."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.decisions import DecisionLog
from headrace.settings import Settings, settings, using_settings
from serving.compacting import Compactor


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
