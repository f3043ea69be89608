"""A backfill with servers: each partition is a run of its own in Prefect and MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx

from headrace.settings import Settings

ROWING = dedent(
    '''
    """A flow about rowing, week by week."""

    from __future__ import annotations

    from headrace import Report, flow, operator
    from headrace.partitioning import Weekly


    @operator()
    def row(*, week: str) -> Report:
        """Row."""
        print("rowed in", week)
        return Report.of({"week": week})


    @flow(partition=Weekly("week"))
    def rowing(*, week: str) -> Report:
        """Row each week."""
        return row(week=week)
    '''
)


def test_each_partition_is_a_run_in_prefect_and_mlflow_with_its_log_and_none_is_made_twice(
    servers: Settings, tmp_path: Path
) -> None:
    package = tmp_path / "boats"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "rowing.py").write_text(ROWING, encoding="utf-8")
    command = [Path(sys.executable).with_name("headrace"), "run", "rowing", "--json"]

    def filled() -> list[dict[str, Any]]:
        done = subprocess.run(
            [*command, "--backfill", "2020-W52..2021-W01"],
            env=os.environ | {"HEADRACE_ROOTS": str(package)},
            capture_output=True,
            text=True,
            check=True,
        )
        told: list[dict[str, Any]] = json.loads(done.stdout)["partitions"]
        return told

    first, again = filled(), filled()

    weeks = ["2020-W52", "2020-W53", "2021-W01"]
    assert [(each["key"], each["state"]) for each in first] == [(week, "ran") for week in weeks]
    assert [(each["key"], each["state"]) for each in again] == [(week, "done") for week in weeks]
    wanted = {"flows": {"name": {"any_": ["rowing"]}}, "sort": "START_TIME_ASC"}
    runs = ask(f"{servers.prefect_api_url}/flow_runs/filter", wanted)
    assert [r["state_type"] for r in runs] == ["COMPLETED"] * 3
    assert [r["parameters"]["parameters"] for r in runs] == [{"week": week} for week in weeks]
    assert [r["id"].replace("-", "") for r in runs] == [each["run"] for each in first]
    for run, week in zip(runs, weeks, strict=True):
        assert (f"rowed in {week}", True) in logged(servers, run["id"])
    api = f"{servers.mlflow_url}/api/2.0/mlflow"
    name = {"experiment_name": "rowing"}
    found = httpx.get(f"{api}/experiments/get-by-name", params=name).json()["experiment"]
    tracked = ask(f"{api}/runs/search", {"experiment_ids": [found["experiment_id"]]})["runs"]
    assert [r["info"]["status"] for r in tracked] == ["FINISHED"] * 3


def logged(servers: Settings, flow_run: str) -> set[tuple[str, bool]]:
    """Return the lines of a run's log, each with whether it is a task run's."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        wanted = {"logs": {"flow_run_id": {"any_": [flow_run]}}}
        lines = ask(f"{servers.prefect_api_url}/logs/filter", wanted)
        found = {(line["message"], line["task_run_id"] is not None) for line in lines}
        if any(text.startswith("rowed") for text, _ in found):
            return found
        time.sleep(0.3)
    raise AssertionError("the log never came")


def ask(address: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(address, json=body)
    answer.raise_for_status()
    return answer.json()
