"""A home of its own with real servers, which the tests kill; everything is told by commands."""

from __future__ import annotations

import contextlib
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
from textwrap import dedent
from typing import Any, TypeVar

import httpx
import pytest

T = TypeVar("T")

FLOWS = dedent(
    '''
    """A model is trained, selected, tested, and registered when a file is there."""

    from __future__ import annotations

    import time
    from datetime import datetime
    from pathlib import Path
    from typing import Annotated, Any, Protocol

    from headrace import Col, Evaluation, Report, Schema, TestSet, TrainSet, ValidationSet
    from headrace import flow, operator
    from operators.evaluate import evaluate
    from operators.select import select
    from operators.train_xgboost import train_xgboost
    from serving.register import register


    class Late(Schema, Protocol):
        """Flights that may be late."""

        flight: Annotated[str, Col(role="entity")]
        decided_at: Annotated[datetime, Col(role="decision_time")]
        known_at: Annotated[datetime, Col(role="known_time")]
        late: Annotated[int, Col(role="label")]
        wind: Annotated[float, Col(role="feature", unit="m/s", known_at="decided_at")]


    def flights(kind: Any, seed: int, rows: int) -> Any:
        import numpy as np
        import pandas as pd

        random = np.random.default_rng(seed)
        wind = random.normal(8, 3, rows)
        at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) * 6, "h")
        frame = pd.DataFrame(
            {
                "flight": [f"{seed}/{n}" for n in range(rows)],
                "decided_at": at,
                "known_at": at + pd.Timedelta(days=1),
                "late": (wind + random.normal(0, 2, rows) > 9).astype(int),
                "wind": wind,
            }
        )
        return kind[Late].of(frame)


    @operator()
    def draw(*, seed: int, calls: str) -> tuple[TrainSet[Late], ValidationSet[Late], TestSet[Late]]:
        """Draw flights, and count how often that was done."""
        with Path(calls).open("a") as log:
            log.write(f"draw {seed}\\n")
        sizes = (200, 300, 400)
        train, validation, test = (
            flights(kind, seed + n, rows)
            for n, (kind, rows) in enumerate(zip((TrainSet, ValidationSet, TestSet), sizes))
        )
        return train, validation, test


    @operator()
    def wait_for(tested: Evaluation, *, gate: str) -> Evaluation:
        """Wait until somebody makes a file."""
        while not Path(gate).exists():
            time.sleep(0.05)
        return tested


    @operator(timeout=3.0)
    def hang(*, marker: str) -> Report:
        """Block where no thread can be stopped, until the timeout."""
        Path(marker).write_text(str(__import__("os").getpid()))
        time.sleep(600)
        return Report.of({})


    @flow
    def brew(*, seed: int, gate: str, calls: str) -> Report:
        """Take flights to a registered model."""
        train, validation, test = draw(seed=seed, calls=calls)
        models = [train_xgboost(train, validation, n_estimators=5, max_depth=d) for d in (1, 3)]
        selected, _ = select(models, validation)
        tested = wait_for(evaluate(selected, test), gate=gate)
        return register(selected, tested, name=f"brew-{seed}")


    @flow
    def hanging(*, marker: str) -> Report:
        """Run a body that hangs."""
        return hang(marker=marker)
    '''
)


def eventually(check: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Return what the check returns as soon as it returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing came of it in {seconds} seconds")


@dataclass(frozen=True, kw_only=True)
class Brewery:
    """This is a home with servers that a test may kill, and commands that speak to it."""

    home: Path
    environment: dict[str, str]
    prefect: str
    mlflow: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command, `headrace run …` for example."""
        command = [sys.executable, "-m", "flows._command.main", *words]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def call(self, *words: str, code: int = 0) -> str:
        """Run a command to its end and return what it says."""
        process = self.start(*words)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == code, said
        return said

    def told(self, *words: str) -> Any:
        """Run a command with `--json` and return what it says."""
        return json.loads(self.call(*words, "--json"))

    def kill(self, service: str, *, with_children: bool = False) -> None:
        """Kill a service as a crash would; what it started goes on, or dies with it."""
        record = json.loads((self.home / "run" / f"{service}.json").read_text())
        (os.killpg if with_children else os.kill)(record["pid"], signal.SIGKILL)

    def run_of(self, seed: int) -> dict[str, Any] | None:
        """Return the newest run of `brew` with a seed."""
        runs = self.told("runs", "--flow", "brew")
        return next((r for r in runs if r["parameters"]["seed"] == seed), None)

    def waits_at_gate(self, seed: int) -> dict[str, Any]:
        """Wait until the run of a seed has tested its model, and return it."""

        def there() -> dict[str, Any] | None:
            run = self.run_of(seed)
            if run is None:
                return None
            states = httpx.post(
                f"{self.prefect}/task_runs/filter",
                json={"flow_runs": {"id": {"any_": [run["prefect_run_id"]]}}, "limit": 200},
            ).json()
            return run if any(t["name"] == "wait_for" for t in states) else None

        return eventually(there, 300)

    def closed(self, prefect_run_id: str, seconds: float = 400.0) -> dict[str, Any]:
        """Wait until Prefect shows a flow run as ended, and return it."""

        def ended() -> dict[str, Any] | None:
            shown = self.shown(prefect_run_id)
            final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
            return shown if shown["state_type"] in final else None

        return eventually(ended, seconds)

    def launch(self, seed: int, story: Story) -> str:
        """Launch `brew` as the form does and return the flow run's id."""
        found = httpx.get(f"{self.prefect}/deployments/name/brew/default").json()
        answer = httpx.post(
            f"{self.prefect}/deployments/{found['id']}/create_flow_run",
            json={
                "parameters": {"parameters": story.parameters(seed)},
                "state": {"type": "SCHEDULED"},
            },
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def cancel(self, prefect_run_id: str) -> None:
        """Press Cancel in the Prefect UI."""
        answer = httpx.post(
            f"{self.prefect}/flow_runs/{prefect_run_id}/set_state",
            json={"state": {"type": "CANCELLING", "name": "Cancelling"}},
        )
        answer.raise_for_status()

    def retry(self, prefect_run_id: str) -> None:
        """Press Retry in the Prefect UI, and wait until the run has begun again."""
        answer = httpx.post(
            f"{self.prefect}/flow_runs/{prefect_run_id}/set_state",
            json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True},
        )
        answer.raise_for_status()

        def begun() -> bool | None:
            return True if self.shown(prefect_run_id)["run_count"] > 1 else None

        eventually(begun, 180)

    def shown(self, prefect_run_id: str) -> dict[str, Any]:
        """Return a flow run as Prefect shows it."""
        found: dict[str, Any] = httpx.get(f"{self.prefect}/flow_runs/{prefect_run_id}").json()
        return found

    def wait_for_ended_task_runs(self, prefect_run_id: str) -> None:
        """Wait until no task run of a flow run is shown as going on."""
        wanted = {"flow_runs": {"id": {"any_": [prefect_run_id]}}, "limit": 200}

        def all_ended() -> bool | None:
            found = httpx.post(f"{self.prefect}/task_runs/filter", json=wanted).json()
            return None if {r["state_type"] for r in found} & {"RUNNING", "PENDING"} else True

        eventually(all_ended, 180)

    def mlflow_runs(self, run_id: str) -> list[tuple[str, str]]:
        """Return role or node, and status, of everything that MLflow has of a run, sorted."""
        experiments = self._mlflow("experiments/search", max_results=100)["experiments"]
        found = self._mlflow(
            "runs/search",
            experiment_ids=[e["experiment_id"] for e in experiments],
            filter=f"tags.`headrace.run` = 'run:{run_id}'",
        )
        rows = []
        for run in found.get("runs", ()):
            tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
            rows.append((tags.get("headrace.node", tags["headrace.role"]), run["info"]["status"]))
        return sorted(rows)

    def versions(self, seed: int) -> int:
        """Return how many versions of the model of a seed are registered."""
        answer = httpx.get(
            f"{self.mlflow}/api/2.0/mlflow/model-versions/search",
            params={"filter": f"name='brew-{seed}'"},
        )
        return len(answer.json().get("model_versions", ()))

    def _mlflow(self, path: str, **body: Any) -> Any:
        answer = httpx.post(f"{self.mlflow}/api/2.0/mlflow/{path}", json=body)
        answer.raise_for_status()
        return answer.json()


@dataclass(frozen=True, kw_only=True)
class Story:
    """These are the files of one test: the gate, and the log of what was really called."""

    folder: Path

    @property
    def gate(self) -> Path:
        """The file that the flow waits for."""
        return self.folder / "gate"

    def parameters(self, seed: int) -> dict[str, Any]:
        """Return the parameters of `brew`."""
        return {"seed": seed, "gate": str(self.gate), "calls": str(self.folder / "calls")}

    def arguments(self, seed: int) -> list[str]:
        """Return the parameters of `brew` as a command takes them."""
        return [w for k, v in self.parameters(seed).items() for w in ("-p", f"{k}={v}")]

    def draws(self) -> int:
        """Return how often data was really drawn."""
        return len((self.folder / "calls").read_text().splitlines())


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(folder=tmp_path)


@pytest.fixture(scope="session")
def brewery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brewery]:
    """Prefect, MLflow and the flow runner, in a home of their own."""
    root = tmp_path_factory.mktemp("repository") / "brewery"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "flows.py").write_text(FLOWS, encoding="utf-8")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "12"]
        ports = [each.getsockname()[1] for each in sockets]
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "PREFECT_"))}
    brewery = Brewery(
        home=home,
        environment=kept
        | {
            "HEADRACE_HOME": str(home),
            "HEADRACE_ROOTS": str(root),
            "HEADRACE_PREFECT_PORT": str(ports[0]),
            "HEADRACE_MLFLOW_PORT": str(ports[1]),
            "HEADRACE_ACTOR": "brewer",
        },
        prefect=f"http://127.0.0.1:{ports[0]}/api",
        mlflow=f"http://127.0.0.1:{ports[1]}",
    )
    brewery.call("up", "prefect", "mlflow", "runner")
    yield brewery
    brewery.call("down")
