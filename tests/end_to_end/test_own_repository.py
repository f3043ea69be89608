"""A repository of a user's own, from `headrace init` to a run launched in Prefect and a backup.

The services are those of `deploy/compose.yaml` but for the serving host, started by their very
commands and variables, on ports and in a home of this test, as plain processes: there need not be
an engine for containers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows._backup import backup, restore
from flows._init import make_repository
from flows._services import down, up
from headrace.lineage import Lineage
from headrace.settings import Settings, load_settings

pytestmark = [pytest.mark.server, pytest.mark.lengthy]
BIN = Path(sys.executable).parent
_PATIENCE_SECONDS = 60  # the machine may be busy with other tests
COMPOSE = yaml.safe_load(
    (Path(__file__).parents[2] / "deploy" / "compose.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """This is a repository whose services run in the foreground, one process each."""

    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def settings(self) -> Settings:
        return load_settings(
            **{
                name.removeprefix("HEADRACE_").lower(): value
                for name, value in self.environment.items()
                if name.startswith("HEADRACE_")
            }
        )

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = BIN / words[0].replace("python", Path(sys.executable).name)
        return subprocess.run(
            [program, *words[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def api(self, path: str, **body: Any) -> Any:
        url = f"{self.settings.prefect_api_url}{path}"
        method = "POST" if body else "GET"
        answer = httpx.request(method, url, json=body or None, timeout=_PATIENCE_SECONDS)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("own") / "orders"
    make_repository(folder)
    prefect, mlflow, feast_ui = _free_ports(3)
    changed = {
        "HEADRACE_HOME": str(folder / "var"),
        "HEADRACE_PROJECT": str(folder),
        # not the address that others know, as in the containers, but no other machine's either
        "HEADRACE_PREFECT_HOST": "127.0.0.1",
        "HEADRACE_MLFLOW_HOST": "127.0.0.1",
        "HEADRACE_FEAST_UI_HOST": "127.0.0.1",
        "HEADRACE_FEAST_UI_PORT": str(feast_ui),
        "HEADRACE_LABELS_HOST": "127.0.0.1",
        "HEADRACE_PREFECT_URL": f"http://localhost:{prefect}",
        "HEADRACE_MLFLOW_URL": f"http://localhost:{mlflow}",
    }
    ours = COMPOSE["x-service"]["environment"]
    assert ours.keys() == changed.keys()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HEADRACE_", "PREFECT_", "MLFLOW_"))
    }
    ports = {"HEADRACE_PREFECT_PORT": str(prefect), "HEADRACE_MLFLOW_PORT": str(mlflow)}
    made = Installation(folder=folder, environment=inherited | changed | ports, processes={})
    try:
        for names in (("prefect", "mlflow"), ("runner",)):  # the second needs the first
            for name in names:
                _start(made, name)
            _wait_until_healthy(made, *names)
        yield made
    finally:
        for process in reversed(made.processes.values()):
            process.terminate()
        for process in made.processes.values():
            try:
                process.wait(60)
            finally:
                process.kill()


def _start(made: Installation, name: str) -> None:
    program, *words = COMPOSE["services"][name]["command"]
    with (made.folder / f"{name}.log").open("wb") as said:
        made.processes[name] = subprocess.Popen(
            [BIN / program, *words],
            cwd=made.folder,
            env=made.environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def _wait_until_healthy(made: Installation, *names: str) -> None:
    waiting = list(names)
    deadline = time.monotonic() + 400
    while waiting:
        for name in tuple(waiting):
            log = (made.folder / f"{name}.log").read_text()
            assert made.processes[name].poll() is None, log
            assert time.monotonic() < deadline, f"{name} is not healthy: {log}"
            program, *question = COMPOSE["services"][name]["healthcheck"]["test"][1:]
            if made.call(program, *question).returncode == 0:
                waiting.remove(name)
        time.sleep(2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _eventually(look: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def launched(installation: Installation) -> dict[str, Any]:
    """A run that was launched as the form in the Prefect UI launches one."""
    deployment = installation.api("/deployments/name/late_orders/default")
    run = installation.api(
        f"/deployments/{deployment['id']}/create_flow_run",
        parameters={"parameters": {"late_days": 5.0}},
        state={"type": "SCHEDULED"},
    )

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = installation.api(f"/flow_runs/{run['id']}")
        return found if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    done: dict[str, Any] = _eventually(ended)
    return done


def test_the_runner_serves_the_flow_of_the_repository_and_those_of_every_installation(
    installation: Installation,
):
    ready = json.loads((installation.folder / "var" / "run" / "runner.ready").read_text())

    assert ready["flows"] == [
        "label_collect",
        "label_rest",
        "label_round",
        "late_orders",
        "rollout",
    ]
    assert ready["pid"] == installation.processes["runner"].pid


def test_a_run_launched_in_prefect_completes(installation: Installation, launched: dict[str, Any]):
    lineage = Lineage(installation.settings.database_url)

    (run,) = lineage.runs(flow="late_orders")

    assert launched["state"]["type"] == "COMPLETED", launched["state"]
    assert (run.state, run.parameters["late_days"]) == ("completed", 5.0)
    assert run.mlflow_run_id


def test_the_command_line_reuses_what_that_run_made(
    installation: Installation, launched: dict[str, Any]
):
    done = installation.call("headrace", "run", "late_orders", "-p", "late_days=5.0", "--json")

    assert done.returncode == 0, done.stderr
    assert {node["state"] for node in json.loads(done.stdout)["nodes"]} == {"cached"}


def test_status_finds_services_in_the_foreground(installation: Installation):
    told = installation.call("headrace", "status", "--json")

    shown = json.loads(told.stdout)
    states = {
        each["name"]: each for each in (shown if isinstance(shown, list) else shown["services"])
    }
    assert {name: (states[name]["state"], states[name]["pid"]) for name in states} == {
        **{name: ("ready", process.pid) for name, process in installation.processes.items()},
        "feast": ("stopped", None),
        "labels": ("stopped", None),
        "serving": ("stopped", None),
    }


def test_a_second_process_for_a_service_is_refused(installation: Installation):
    again = installation.call("headrace", "up", "--only", "prefect", "--foreground")

    pid = installation.processes["prefect"].pid
    assert (again.returncode, again.stderr) == (
        1,
        f"Error: The Prefect server of '{installation.folder / 'var'}' runs already, as process "
        f"{pid}.\n  Fix: Stop it with `headrace down prefect`, or leave it alone.\n",
    )


def test_pages_name_the_address_that_is_published(installation: Installation):
    asked = httpx.get(
        f"{installation.settings.prefect_url}/ui-settings", timeout=_PATIENCE_SECONDS
    ).json()

    assert asked["api_url"] == installation.settings.prefect_api_url


def test_a_backup_of_the_running_installation_brings_everything_back(
    installation: Installation, launched: dict[str, Any], tmp_path: Path
):
    of = installation.settings
    backup(tmp_path / "home.tar", of=of)
    (port,) = _free_ports(1)

    restored = restore(tmp_path / "home.tar", tmp_path / "new", of=of)

    there = load_settings(home=tmp_path / "new", project=installation.folder, mlflow_port=port)
    environment = installation.environment | {"HEADRACE_HOME": str(there.home)}
    planned = subprocess.run(
        [BIN / "headrace", "plan", "late_orders", "-p", "late_days=5.0", "--json"],
        cwd=installation.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    nodes = json.loads(planned.stdout)["nodes"]
    assert [node["path"] for node in nodes if not node["now"].startswith("cached")] == []
    run = Lineage(there.database_url).runs(flow="late_orders")[-1]
    up(only=("mlflow",), of=there)
    try:
        kept = httpx.get(
            f"{there.mlflow_url}/api/2.0/mlflow/runs/get",
            params={"run_id": run.mlflow_run_id},
            timeout=_PATIENCE_SECONDS,
        ).json()["run"]
        listed = httpx.get(
            f"{there.mlflow_url}/api/2.0/mlflow/artifacts/list",
            params={"run_id": run.mlflow_run_id},
            timeout=_PATIENCE_SECONDS,
        ).json()["files"]
    finally:
        down(of=there)
    assert kept["info"]["status"] == "FINISHED"
    assert listed
    assert restored.moved["headrace.db"] > 0
    old = f"{of.home}/".encode()
    assert old not in (there.home / "headrace.db").read_bytes().replace(b"%20", b" ")


def test_a_foreground_service_ends_with_its_process(installation: Installation):
    process = installation.processes["mlflow"]

    process.send_signal(signal.SIGTERM)

    process.wait(60)
    assert installation.call("python", "-m", "flows._services.health", "mlflow").returncode == 1
