"""A run that would fail for want of a service is refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace import Report, flow, operator, when
from headrace.calls import Finding
from headrace.errors import ServiceError
from headrace.execution import Session, run_plan
from headrace.settings import settings


def crane_lacking(parameters: Mapping[str, Any]) -> Finding | None:
    """A crane is needed, and is there when its file is."""
    if (settings().home / str(parameters["crane"])).exists():
        return None
    return Finding(
        problem=f"The crane '{parameters['crane']}' is away.",
        remedy="Call it.",
        rule="crane",
    )


@operator()
def load() -> Report:
    """Load a ship, and remember it outside."""
    Path(settings().home / "loaded").touch()
    return Report.of({"passed": True})


@operator(effect=True, needs=crane_lacking)
def lift(loaded: Report, *, crane: str) -> Report:
    """Lift what was loaded."""
    return Report.of({"passed": True, "crane": crane})


@flow
def ship(*, crane: str = "north") -> Report:
    """Load a ship and lift it."""
    loaded = load()
    lift(loaded, crane=crane)
    return lift(loaded, crane=crane)


@flow
def careful_ship() -> Report:
    """Lift only what was loaded well."""
    loaded = load()
    with when(loaded):
        lift(loaded, crane="south")
    return loaded


def test_nothing_runs_and_nothing_is_recorded(session: Session) -> None:
    with pytest.raises(ServiceError) as refused:
        run_plan(ship.plan_with({}), session)

    assert str(refused.value) == (
        "'lift', 'lift#2': The crane 'north' is away. Nothing has run.\n  Fix: Call it."
    )
    assert not (settings().home / "loaded").exists()
    assert session.lineage.runs() == []


def test_with_the_service_there_it_runs(session: Session) -> None:
    (settings().home / "north").touch()

    finished = run_plan(ship.plan_with({}), session)

    assert finished.state == "completed"


def test_what_may_never_run_is_not_asked(session: Session) -> None:
    finished = run_plan(careful_ship.plan_with({}), session)

    assert finished.outcomes["load"].state == "executed"


def test_a_flow_that_deploys_says_before_it_trains_that_the_serving_host_is_away(
    session: Session,
) -> None:
    from flows.flight_delay import flight_delay

    with pytest.raises(ServiceError) as refused:
        run_plan(flight_delay.plan_with({}), session)

    assert str(refused.value) == (
        "'deploy': Ray Serve is not up, so no endpoint can be served. Nothing has run.\n"
        "  Fix: Start it with `headrace up`, then run the flow again."
    )
    assert session.lineage.runs() == []
