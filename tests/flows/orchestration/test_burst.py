"""Many flows at once on one Prefect server: nobody is turned away, and nothing is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from headrace import Report, flow, operator
from headrace.settings import Settings

FLOWS, NODES = 6, 4


@operator()
def plant_trees(*, rows: int) -> Report:
    """Plant rows of trees."""
    return Report.of({"rows": rows})


@operator()
def plant_another_row(before: Report) -> Report:
    """Plant one row more."""
    return Report.of({"rows": before.document["rows"] + 1})


@flow
def avenue(*, rows: int) -> Report:
    """Plant an avenue, row by row."""
    trees = plant_trees(rows=rows)
    for _ in range(NODES - 1):
        trees = plant_another_row(trees)
    return trees


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Return what each call returns; all of them start together."""
    gun = threading.Barrier(count)

    def one(number: int) -> Any:
        gun.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@pytest.fixture
def raw_client(servers: Settings) -> Callable[[Callable[[], Any]], tuple[Any, Counter[int]]]:
    """Make flow runs, one after the other, while something is done; count the answers."""

    def during(work: Callable[[], Any]) -> tuple[Any, Counter[int]]:
        answers: Counter[int] = Counter()
        over = threading.Event()
        with httpx.Client(base_url=servers.prefect_api_url, timeout=60) as ask:
            made = ask.post("/flows/", json={"name": "raw"}).json()["id"]

            def keep_asking() -> None:
                body = {"flow_id": made, "state": {"type": "PENDING"}}
                while not over.is_set():
                    answers[ask.post("/flow_runs/", json=body).status_code] += 1

            asking = threading.Thread(target=keep_asking)
            asking.start()
            try:
                return work(), answers
            finally:
                over.set()
                asking.join()

    return during


def test_flows_started_at_once_lose_no_task_run_and_turn_nobody_away(
    servers: Settings,
    raw_client: Callable[[Callable[[], Any]], tuple[Any, Counter[int]]],
) -> None:
    from flows.runtime import run_flow

    finished, answers = raw_client(
        lambda: at_once(lambda number: run_flow(avenue, {"rows": number * 100}), FLOWS)
    )

    ids = [run.links["Prefect run"].rsplit("/", 1)[1] for run in finished]
    assert [run.state for run in finished] == ["completed"] * FLOWS
    assert set(answers) == {201}
    assert recorded(servers, ids) == {run_id: ["COMPLETED"] * NODES for run_id in ids}


def recorded(servers: Settings, ids: list[str]) -> dict[str, list[str]]:
    """Return the states of the task runs of each flow run, recorded a moment after they end."""
    body = {"flow_runs": {"id": {"any_": ids}}, "limit": 200}
    end = time.monotonic() + 15
    while True:
        answer = httpx.post(f"{servers.prefect_api_url}/task_runs/filter", json=body, timeout=60)
        found: dict[str, list[str]] = {run_id: [] for run_id in ids}
        for task_run in answer.raise_for_status().json():
            found[task_run["flow_run_id"]].append(task_run["state_type"])
        if all(states == ["COMPLETED"] * NODES for states in found.values()):
            return found
        if time.monotonic() > end:
            return found
        time.sleep(0.2)
