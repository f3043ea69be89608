"""What is left when a process is killed in the middle of a flow, and how the run goes on.

Those that take minutes are marked lengthy: `make test-lengthy` runs them, `make test` the others.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import psutil
import pytest

FINISHED = [
    ("flow", "FINISHED"),
    ("train_xgboost", "FINISHED"),
    ("train_xgboost#2", "FINISHED"),
]


def kill_process_of(run: dict[str, Any]) -> None:
    os.kill(run["machine"]["pid"], signal.SIGKILL)


def assert_done_once(brewery: Any, story: Any, run: dict[str, Any], seed: int) -> None:
    """The run is complete everywhere, nothing was computed twice, and the model is there once."""
    now = brewery.run_of(seed)
    assert (now["id"], now["state"]) == (run["id"], "completed")
    assert brewery.shown(run["prefect_run_id"])["state_type"] == "COMPLETED"
    brewery.wait_for_ended_task_runs(run["prefect_run_id"])
    assert brewery.mlflow_runs(run["id"]) == FINISHED
    assert (story.draws(), brewery.versions(seed)) == (1, 1)


def test_a_run_killed_on_the_command_line_is_closed_everywhere_and_goes_on_as_the_same_run(
    brewery: Any, story: Any
) -> None:
    process = brewery.start("run", "brew", *story.arguments(1))
    run = brewery.waits_at_gate(1)
    process.kill()
    process.communicate()

    shown = brewery.closed(run["prefect_run_id"])
    closed = brewery.run_of(1)
    in_mlflow = brewery.mlflow_runs(run["id"])
    story.gate.touch()
    said = brewery.call("resume", f"run:{run['id']}")

    assert (shown["state_type"], closed["state"]) == ("CRASHED", "crashed")
    assert in_mlflow[0] == ("flow", "KILLED")
    assert "5 cached" in said or "4 cached" in said
    assert_done_once(brewery, story, run, 1)


@pytest.mark.lengthy
def test_a_killed_run_of_the_runner_is_closed_and_retried_from_the_ui_as_the_same_run(
    brewery: Any, story: Any
) -> None:
    brewery.launch(2, story)
    run = brewery.waits_at_gate(2)
    kill_process_of(run)

    shown = brewery.closed(run["prefect_run_id"])
    story.gate.touch()
    brewery.retry(run["prefect_run_id"])
    brewery.closed(run["prefect_run_id"])

    assert shown["state_type"] == "CRASHED"
    assert_done_once(brewery, story, run, 2)


@pytest.mark.lengthy
def test_runs_outlive_the_runner_and_those_that_do_not_are_closed_without_it(
    brewery: Any, story: Any
) -> None:
    brewery.launch(3, story)
    run = brewery.waits_at_gate(3)
    brewery.kill("runner")
    time.sleep(3)
    alive = psutil.pid_exists(run["machine"]["pid"])
    kill_process_of(run)

    shown = brewery.closed(run["prefect_run_id"])
    brewery.call("up", "prefect", "mlflow", "runner")
    story.gate.touch()
    brewery.retry(run["prefect_run_id"])
    brewery.closed(run["prefect_run_id"])

    assert alive
    assert shown["state_type"] == "CRASHED"
    assert_done_once(brewery, story, run, 3)


@pytest.mark.lengthy
def test_a_flow_goes_on_without_the_prefect_server_which_shows_its_end_when_it_is_back(
    brewery: Any, story: Any
) -> None:
    process = brewery.start("run", "brew", *story.arguments(4))
    run = brewery.waits_at_gate(4)
    brewery.kill("prefect")
    story.gate.touch()
    said, _ = process.communicate(timeout=300)
    left = brewery.run_of(4)

    brewery.call("up", "prefect", "mlflow", "runner")
    if left["state"] != "completed":
        brewery.call("resume", f"run:{run['id']}")
    brewery.closed(run["prefect_run_id"])

    assert left["state"] in ("completed", "failed"), said
    assert_done_once(brewery, story, run, 4)


@pytest.mark.lengthy
def test_what_happens_while_mlflow_is_away_is_there_when_it_is_back(
    brewery: Any, story: Any
) -> None:
    process = brewery.start("run", "brew", *story.arguments(5))
    run = brewery.waits_at_gate(5)
    brewery.kill("mlflow", with_children=True)
    story.gate.touch()
    said, _ = process.communicate(timeout=300)
    first = brewery.run_of(5)["state"]

    brewery.call("up", "prefect", "mlflow", "runner")
    again = brewery.call("resume", f"run:{run['id']}")

    # without MLflow nothing can be registered: that node fails, and says so
    assert (first, process.returncode) == ("failed", 1)
    assert "register" in said
    assert "MLflow server" in said
    assert "completed" in again
    assert_done_once(brewery, story, run, 5)


@pytest.mark.lengthy
def test_a_run_that_is_cancelled_in_the_ui_stops_and_can_be_taken_up(
    brewery: Any, story: Any
) -> None:
    brewery.launch(6, story)
    run = brewery.waits_at_gate(6)

    brewery.cancel(run["prefect_run_id"])
    shown = brewery.closed(run["prefect_run_id"])
    cancelled = brewery.run_of(6)
    alive = psutil.pid_exists(run["machine"]["pid"])
    story.gate.touch()
    brewery.call("resume", f"run:{run['id']}")

    assert (shown["state_type"], alive) == ("CANCELLED", False)
    assert cancelled["state"] in ("cancelled", "crashed")
    assert_done_once(brewery, story, run, 6)


def test_a_body_that_hangs_is_stopped_at_its_timeout_under_prefect_too(
    brewery: Any, story: Any
) -> None:
    marker = story.folder / "hanging"

    said = brewery.call("run", "hanging", "-p", f"marker={marker}", code=1)

    assert "Operator 'hang' was stopped after 3 seconds, its timeout." in said
    assert not psutil.pid_exists(int(marker.read_text()))
