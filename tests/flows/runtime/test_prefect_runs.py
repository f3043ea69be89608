"""A flow run as Prefect sees it: a task run for each node, started from anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from headrace.settings import Settings, settings, using_settings

FLOWS = dedent(
    '''
    """Flows of a test's own repository."""

    from __future__ import annotations

    import time
    from datetime import date
    from pathlib import Path
    from typing import Annotated, Literal

    from pydantic import Field

    from headrace import Report, Table, flow, operator


    @operator()
    def gather_berries(*, count: Annotated[int, Field(ge=1, le=100)]) -> Report:
        """Gather berries one by one."""
        return Report.of({"berries": count})


    @operator()
    def boil(berries: Report, *, sugar: float) -> Report:
        """Boil berries with sugar."""
        if sugar < 0:
            raise ValueError("sugar comes in positive amounts")
        return Report.of({"jam": berries.document["berries"] * sugar})


    @operator()
    def wait_for_file(berries: Report, *, path: str) -> Report:
        """Wait until somebody makes a file."""
        while not Path(path).exists():
            time.sleep(0.05)
        return berries


    @operator(effect=True)
    def sell(jam: Report) -> Report:
        """Sell the jam."""
        return jam


    @flow
    def jam(
        *,
        count: Annotated[int, Field(ge=1, le=100)] = 10,
        sugar: float = 0.5,
        kind: Literal["smooth", "chunky"] = "smooth",
        day: date = date(2013, 7, 1),
    ) -> Report:
        """Make jam of berries.

        Args:
            count: How many berries to gather.
            sugar: Kilograms of sugar for each berry.
            kind: How the jam should be.
            day: When to make it.
        """
        return sell(boil(gather_berries(count=count), sugar=sugar))


    @flow
    def patience(*, path: str) -> Report:
        """Wait for a file between two steps."""
        return boil(wait_for_file(gather_berries(count=3), path=path), sugar=1.0)
    '''
)


@pytest.fixture(scope="module")
def kitchen(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a repository with flows, and settings that find it."""
    root = tmp_path_factory.mktemp("repository") / "kitchen"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "jam.py").write_text(FLOWS, encoding="utf-8")
    with using_settings(roots=[root]):
        yield root
    if str(root.parent) in sys.path:  # whoever looked for flows put it there
        sys.path.remove(str(root.parent))


def api(path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the Prefect server; task runs are recorded a moment after they end."""
    url = f"{settings().prefect_api_url}{path}"
    answer = httpx.get(url) if body is None else httpx.post(url, json=body)
    answer.raise_for_status()
    return answer.json()


def task_runs(prefect_run_id: str, count: int) -> dict[str, dict[str, Any]]:
    """Return the task runs of a flow run by name, once all of them are recorded."""
    wanted = {"flow_runs": {"id": {"any_": [prefect_run_id]}}, "limit": 200}

    def all_recorded() -> dict[str, dict[str, Any]] | None:
        found = {run["name"]: run for run in api("/task_runs/filter", wanted)}
        done = [r for r in found.values() if r["state_type"] in ("COMPLETED", "FAILED")]
        return found if len(done) == count else None

    return eventually(all_recorded)


def eventually(check: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what the check returns as soon as it returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing came of {check.__name__} in {seconds} seconds")


def run(flow: str, **arguments: Any) -> Any:
    from flows._catalog import flow_named
    from flows.runtime import run_flow

    return run_flow(flow_named(flow), arguments)


def prefect_id(finished: Any) -> str:
    return str(finished.links["Prefect run"].rsplit("/", 1)[1])


def test_each_node_is_one_task_run_with_the_operators_name_and_place(kitchen: Path) -> None:
    finished = run("jam", count=11)

    runs = task_runs(prefect_id(finished), 3)

    assert {name: r["state_name"] for name, r in runs.items()} == {
        "gather_berries": "Completed",
        "boil": "Completed",
        "sell": "Completed",
    }
    waited_for = [entry["id"] for entry in runs["boil"]["task_inputs"]["after"]]
    assert waited_for == [runs["gather_berries"]["id"]]


def test_what_is_reused_is_shown_as_cached(kitchen: Path) -> None:
    run("jam", count=12)

    again = run("jam", count=12)

    shown = {name: r["state_name"] for name, r in task_runs(prefect_id(again), 3).items()}
    assert shown == {"gather_berries": "Cached", "boil": "Cached", "sell": "Completed"}


def test_a_failed_node_fails_the_run_and_says_why(kitchen: Path) -> None:
    finished = run("jam", count=13, sugar=-1.0)

    state = api(f"/flow_runs/{prefect_id(finished)}")["state"]
    assert state["type"] == "FAILED"
    assert "boil: ValueError: sugar comes in positive amounts" in state["message"]
    shown = {n: r["state_name"] for n, r in task_runs(prefect_id(finished), 3).items()}
    assert shown == {"gather_berries": "Completed", "boil": "Failed", "sell": "Skipped"}


def test_a_wrong_parameter_is_refused_before_a_run_exists(kitchen: Path) -> None:
    from headrace.errors import ParameterError

    before = api("/flow_runs/count", {"flows": {"name": {"any_": ["jam"]}}})

    with pytest.raises(ParameterError) as caught:
        run("jam", cout=3)

    assert str(caught.value) == (
        "Flow 'jam' cannot start: there is no parameter 'cout'. Did you mean 'count'?\n"
        "  Fix: See its parameters with `headrace flows`."
    )
    assert api("/flow_runs/count", {"flows": {"name": {"any_": ["jam"]}}}) == before


def test_the_run_is_in_mlflow_with_the_ids_of_the_others(kitchen: Path) -> None:
    finished = run("jam", count=14)

    found = httpx.get(
        f"{settings().mlflow_url}/api/2.0/mlflow/runs/get",
        params={"run_id": finished.mlflow_run_id},
    ).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    parameters = {p["key"]: p["value"] for p in found["data"]["params"]}
    assert found["info"]["status"] == "FINISHED"
    assert tags["headrace.run"] == f"run:{finished.id}"
    assert tags["prefect.flow_run_id"] == prefect_id(finished)
    assert parameters["count"] == "14"


@pytest.fixture(scope="module")
def runner(kitchen: Path) -> Iterator[None]:
    """Serve the kitchen's flows as deployments."""
    from flows._services import environment

    ready = settings().run_folder / "runner.ready"
    variables = {**os.environ, **environment.runner_environment(settings())}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.deployments"],
        env=variables,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(lambda: ready.exists() or None)
    yield
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def launch(deployment: str, parameters: dict[str, Any]) -> httpx.Response:
    found = api(f"/deployments/name/{deployment}/default")
    return httpx.post(
        f"{settings().prefect_api_url}/deployments/{found['id']}/create_flow_run",
        json={"parameters": parameters, "state": {"type": "SCHEDULED"}},
    )


def ended(run_id: str) -> dict[str, Any]:
    def in_the_end() -> dict[str, Any] | None:
        state: dict[str, Any] = api(f"/flow_runs/{run_id}")["state"]
        return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    found: dict[str, Any] = eventually(in_the_end, 120)
    return found


def test_every_flow_is_a_deployment_with_typed_and_described_fields(runner: None) -> None:
    schema = api("/deployments/name/jam/default")["parameter_openapi_schema"]

    fields = schema["definitions"]["JamParameters"]
    assert fields["additionalProperties"] is False
    assert fields["properties"]["count"]["description"] == "How many berries to gather."
    assert fields["properties"]["count"]["maximum"] == 100
    assert fields["properties"]["kind"]["enum"] == ["smooth", "chunky"]
    assert schema["properties"]["parameters"]["default"]["sugar"] == 0.5


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        pytest.param({"count": 101}, "101 is greater than the maximum of 100", id="out of range"),
        pytest.param({"cout": 3}, "'cout' was unexpected", id="unknown name"),
        pytest.param({"kind": "thin"}, "'thin' is not one of", id="unknown choice"),
        pytest.param({"sugar": "much"}, "'much' is not of type 'number'", id="wrong type"),
        pytest.param({"day": "July"}, "'July' does not match", id="no date"),
    ],
)
def test_the_server_refuses_a_wrong_launch_form(
    runner: None, parameters: dict[str, Any], said: str
) -> None:
    answer = launch("jam", {"parameters": parameters})

    assert answer.status_code == 409
    assert said in answer.text


def test_the_server_refuses_what_stands_beside_the_launch_form(runner: None) -> None:
    before = api("/flow_runs/count", {"flows": {"name": {"any_": ["jam"]}}})

    answer = launch("jam", {"parameters": {"count": 3}, "cout": 3})

    assert answer.status_code == 409
    assert "'cout' was unexpected" in answer.text
    assert api("/flow_runs/count", {"flows": {"name": {"any_": ["jam"]}}}) == before


def test_what_the_server_cannot_see_fails_before_any_node_in_the_same_words(runner: None) -> None:
    answer = launch("jam", {"parameters": {"day": "2013-02-31"}})

    run_id = answer.json()["id"]
    state = ended(run_id)
    assert (state["type"], state["message"]) == (
        "FAILED",
        "Flow 'jam' cannot start: parameter 'day' is '2013-02-31': input should be a valid date or "
        "datetime, day value is outside expected range.\n"
        "  Fix: See its parameters with `headrace flows`.",
    )
    assert api("/task_runs/count", {"flow_runs": {"id": {"any_": [run_id]}}}) == 0


def test_a_run_launched_from_the_form_completes_and_shares_the_cache(runner: None) -> None:
    run("jam", count=21)

    answer = launch("jam", {"parameters": {"count": 21}})

    state = ended(answer.json()["id"])
    assert state["type"] == "COMPLETED"
    assert "1 executed, 2 cached" in state["message"]


def test_a_run_that_was_killed_and_taken_up_again_recomputes_nothing(
    kitchen: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = (
        "from flows._catalog import flow_named; from flows.runtime import run_flow; "
        f"run_flow(flow_named('patience'), {{'path': {str(gate)!r}}})"
    )
    environment = {**os.environ, **settings().as_environment()}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)

    def first_node_done() -> bool | None:
        from headrace.execution import Session

        lineage = Session.of_settings().lineage
        runs = lineage.runs(1, "patience")
        done = runs and [i.node for i in lineage.invocations(runs[0].id)]
        return True if done == ["gather_berries"] else None

    eventually(first_node_done)
    process.send_signal(signal.SIGKILL)
    process.wait()
    gate.touch()

    finished = run("patience", path=str(gate))

    assert {p: o.state for p, o in finished.outcomes.items()} == {
        "gather_berries": "cached",
        "wait_for_file": "executed",
        "boil": "executed",
    }
