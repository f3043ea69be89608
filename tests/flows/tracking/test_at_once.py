"""Nodes that end at the same time are recorded at the same time, and none is refused for it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from flows._tracking.sending import send
from flows._tracking.stage import NewRun, Stage
from serving._mlflow import server_at


def dataset(name: str) -> dict[str, Any]:
    return {
        "tags": [{"key": "mlflow.data.context", "value": "training"}],
        "dataset": {"name": name, "digest": "d", "source_type": "local", "source": "{}"},
    }


def test_runs_that_read_the_same_new_data_at_once_are_all_recorded_with_it(mlflow_url: str) -> None:
    server = server_at(mlflow_url)
    experiment = server.experiment(f"at-once-{uuid.uuid4().hex[:8]}")
    together = Barrier(4)

    def told(round_: int, node: int) -> str:
        stage = Stage(
            new_run=NewRun(experiment_id=experiment, name=f"{node}", started_ms=1, tags={}),
            datasets=[dataset(f"{round_}-{n}") for n in range(3)],
            status="FINISHED",
        )
        together.wait()
        return send(server, stage, None)

    with ThreadPoolExecutor(4) as nodes:
        runs = [
            run for n in range(10) for run in nodes.map(lambda node, n=n: told(n, node), range(4))
        ]

    found = [server.get("/runs/get", run_id=run)["run"] for run in runs]
    assert {run["info"]["status"] for run in found} == {"FINISHED"}
    assert {len(run["inputs"]["dataset_inputs"]) for run in found} == {3}
