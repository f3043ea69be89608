"""In which state a run should be shown, when its process is gone or the server was away."""

from __future__ import annotations

import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows._orchestration.keeping import actual_state
from headrace.clock import current_clock
from headrace.execution.abandoned import LOST
from headrace.execution.living import own_start
from headrace.lineage import Lineage, RunRecord

RUN = UUID("ab" * 16)
GONE = {"host": platform.node(), "pid": 1, "process_started": 0.0}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path / "lineage.db")


def shown(name: str = "Running", *, at: datetime = LONG_AGO, **changes: Any) -> Any:
    """A flow run as Prefect gives it."""
    from prefect.client.schemas.objects import FlowRun, State, StateType

    type_ = StateType.PENDING if name == "Pending" else StateType.RUNNING
    state = State(type=type_, name=name, timestamp=at)
    return FlowRun(**{"id": RUN, "flow_id": RUN, "state": state, "tags": ["headrace"], **changes})


def record(lineage: Lineage, state: str, **changes: Any) -> None:
    ended = None if state == "running" else LONG_AGO + timedelta(minutes=5)
    known = {"machine": GONE, "started_at": LONG_AGO, "ended_at": ended, "message": "it broke"}
    lineage.start_run(RunRecord(id=RUN.hex, flow="brew", state=state, **(known | changes)))


@pytest.mark.parametrize(
    ("state", "expected", "message"),
    [
        pytest.param("completed", "COMPLETED", "run:abababababab", id="the server was away"),
        pytest.param("failed", "FAILED", "run:abababababab\nit broke", id="it failed meanwhile"),
        pytest.param("cancelled", "CANCELLED", "run:abababababab", id="it was interrupted"),
        pytest.param(
            "crashed",
            "CRASHED",
            f"run:abababababab: {LOST}. Go on with Retry, or `headrace resume run:abababababab`.",
            id="its process was killed",
        ),
        pytest.param(
            "paused",
            "CRASHED",
            f"run:abababababab: {LOST} while it waited for an answer. "
            "Go on with `headrace resume run:abababababab`.",
            id="it was killed while it waited for an answer",
        ),
    ],
)
def test_a_run_whose_process_is_gone_is_shown_as_it_ended(
    lineage: Lineage, state: str, expected: str, message: str
) -> None:
    record(lineage, state)

    actual = actual_state(lineage, shown())

    assert actual is not None
    assert (actual.type.value, actual.message) == (expected, message)


def test_a_run_whose_process_is_there_is_left_alone(lineage: Lineage) -> None:
    import os

    here = {"host": platform.node(), "pid": os.getpid(), "process_started": own_start()}
    record(lineage, "failed", machine=here)

    assert actual_state(lineage, shown()) is None


def test_a_run_on_another_machine_is_left_to_that_machine(lineage: Lineage) -> None:
    record(lineage, "crashed", machine={**GONE, "host": "elsewhere"})

    assert actual_state(lineage, shown()) is None


def test_an_attempt_that_begins_after_the_last_one_ended_has_time_to_start(
    lineage: Lineage,
) -> None:
    record(lineage, "crashed")
    now = current_clock().now()

    assert actual_state(lineage, shown("Pending", at=now - timedelta(seconds=60))) is None
    late = actual_state(lineage, shown("Pending", at=now - timedelta(seconds=600)))
    assert late is not None


def test_a_run_that_never_began_is_closed_if_it_is_ours(lineage: Lineage) -> None:
    ours, others = shown("Pending"), shown("Pending", tags=[])
    starting = shown("Pending", at=current_clock().now())

    closed = actual_state(lineage, ours)

    assert closed is not None
    assert closed.message == f"It never began: {LOST}."
    assert actual_state(lineage, others) is None
    assert actual_state(lineage, starting) is None


def test_a_run_that_got_a_new_flow_run_in_prefect_is_found_by_that(lineage: Lineage) -> None:
    record(lineage, "completed")
    lineage.update_run(RUN.hex, prefect_run_id=str(UUID("cd" * 16)))

    actual = actual_state(lineage, shown(id=UUID("cd" * 16)))

    assert actual is not None
    assert actual.type.value == "COMPLETED"
