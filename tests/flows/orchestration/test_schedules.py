"""What starts flows by itself, with a real Prefect server, a real runner and a local web server."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from flows import _services
from flows._events import emit_now
from flows._orchestration import notification
from headrace.settings import Settings, settings, using_settings

FLOWS = dedent(
    '''
    """Flows of a test's own repository."""

    from __future__ import annotations

    from headrace import Cron, Every, Report, When, flow, operator


    @operator()
    def count_sheep(*, sheep: int) -> Report:
        """Count sheep; there are never fewer than none."""
        if sheep < 0:
            raise ValueError("a negative number of sheep")
        return Report.of({"sheep": sheep})


    @operator()
    def greet(*, name: str, times: int) -> Report:
        """Greet somebody."""
        return Report.of({"greeting": " ".join([name] * times)})


    @flow(schedules=[Every(seconds=5, parameters={"sheep": 3})], at_once=1)
    def often(*, sheep: int = 1) -> Report:
        """Count sheep every few seconds."""
        return count_sheep(sheep=sheep)


    @flow(schedules=[Cron("0 3 * * *")])
    def nightly(*, sheep: int = 30) -> Report:
        """Count sheep at night."""
        return count_sheep(sheep=sheep)


    @flow(
        schedules=[Cron("0 4 * * mon"), Every(weeks=2)],
        triggers=[
            When(
                "test.arrived",
                resource="test.guest.*",
                parameters={"name": "dear {{ event.payload.name }}",
                            "times": "{{ event.payload.times }}"},
            ),
            When("test.left"),
        ]
    )
    def greeting(*, name: str = "nobody", times: int = 1) -> Report:
        """Greet who arrives."""
        return greet(name=name, times=times)


    @flow(schedules=[Cron("0 6 * * *")], triggers=[When("test.left")])
    def farewell() -> Report:
        """Greet who leaves."""
        return greet(name="all", times=1)
    '''
)


class Told(BaseHTTPRequestHandler):
    """A local web server that keeps what it is told."""

    calls: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append(json.loads(body) | {"content-type": self.headers["Content-Type"]})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address, and what it was told."""
    calls: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Told", (Told,), {"calls": calls}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/told", calls
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def sheepfold(
    servers: Settings,
    listener: tuple[str, list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A repository with flows, and a runner that serves them."""
    project = tmp_path_factory.mktemp("repository")
    root = project / "sheepfold"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "night.py").write_text(FLOWS, encoding="utf-8")
    with using_settings(project=project, roots=[root], notify_url=listener[0]):
        _services.up(only=("runner",))
        yield root
        _services.down(only=("runner",))
    sys.path[:] = [place for place in sys.path if place != str(project)]


def api(path: str, body: Any = None, method: str | None = None) -> Any:
    url = f"{settings().prefect_api_url}{path}"
    method = method or ("GET" if body is None else "POST")
    answer = httpx.request(method, url, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def deployment(flow: str) -> dict[str, Any]:
    return dict(api(f"/deployments/name/{flow}/default"))


def runs(flow: str, **state: list[str]) -> list[dict[str, Any]]:
    wanted: dict[str, Any] = {
        "flows": {"name": {"any_": [flow]}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    if state:
        wanted["flow_runs"] = {"state": {name: {"any_": names} for name, names in state.items()}}
    return list(api("/flow_runs/filter", wanted))


def eventually(check: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.3)
    raise AssertionError(f"nothing came of it in {seconds} seconds")


def finished(flow: str, state: str = "COMPLETED") -> dict[str, Any]:
    """Return the first run of a flow that ended so."""
    return dict(eventually(lambda: runs(flow, type=[state]))[0])


def launch(flow: str, **parameters: Any) -> str:
    body = {"parameters": {"parameters": parameters}, "state": {"type": "SCHEDULED"}}
    return str(api(f"/deployments/{deployment(flow)['id']}/create_flow_run", body)["id"])


def schedule(flow: str, start: str) -> dict[str, Any]:
    [found] = [s for s in deployment(flow)["schedules"] if start in (s["slug"] or "")]
    return dict(found)


def switch(flow: str, start: str, *, active: bool) -> None:
    """Do what the switch on the deployment's page does."""
    place = f"/deployments/{deployment(flow)['id']}/schedules/{schedule(flow, start)['id']}"
    api(place, {"active": active}, "PATCH")


def automations(flow: str) -> dict[str, dict[str, Any]]:
    owner = f"prefect.deployment.{deployment(flow)['id']}"
    return {a["name"]: a for a in api(f"/automations/related-to/{owner}")}


@pytest.fixture(scope="module")
def begun(sheepfold: Path) -> str:
    """Let the clock, an event and a launch start a run each; return the launched one, that fails.

    They go on at the same time, and the tests wait for the run that each is about.
    """
    emit_now("test.arrived", resource="test.stranger.1", payload={"name": "Mallory", "times": 9})
    emit_now("test.arrived", resource="test.guest.7", payload={"name": "Ada", "times": 2})
    bad = launch("nightly", sheep=-1)
    eventually(lambda: runs("often", type=["PENDING", "RUNNING", "COMPLETED"]))
    switch("often", "every-5-seconds", active=False)
    return bad


def test_a_schedule_starts_a_run_with_its_parameters(begun: str) -> None:
    run = finished("often")

    assert run["parameters"]["parameters"] == {"sheep": 3}
    assert run["created_by"]["display_value"].startswith("headrace-every-5-seconds-")


def test_as_many_runs_at_once_as_the_flow_allows_are_a_limit_of_its_deployment(begun: str) -> None:
    assert deployment("often")["global_concurrency_limit"]["limit"] == 1
    assert deployment("nightly")["global_concurrency_limit"] is None


def test_an_event_starts_a_run_with_what_it_carries(begun: str) -> None:
    run = finished("greeting")

    assert run["parameters"]["parameters"] == {"name": "dear Ada", "times": 2}
    by_events = [r for r in runs("greeting") if r["created_by"]["type"] == "AUTOMATION"]
    assert len(by_events) == 1  # the other event was about somebody else


def test_a_failed_run_is_told_and_a_completed_one_is_not(
    begun: str, listener: tuple[str, list[dict[str, Any]]]
) -> None:
    finished("often")
    run = finished("nightly", "FAILED")

    eventually(lambda: listener[1], seconds=20)
    [told] = listener[1]
    assert told == {
        "flow": "nightly",
        "run": run["name"],
        "run_id": begun,
        "state": "Failed",
        "message": run["state"]["message"],
        "url": f"{settings().prefect_url}/runs/flow-run/{begun}",
        "content-type": "application/json",
    }
    assert "a negative number of sheep" in told["message"]


def test_the_runner_comes_back_to_what_people_and_the_code_left(
    sheepfold: Path, begun: str
) -> None:
    _services.down(only=("runner",))
    nightly = deployment("nightly")["id"]
    by_hand = [{"schedule": {"cron": "0 5 * * *", "timezone": "UTC"}, "active": False}]
    api(f"/deployments/{nightly}/schedules", by_hand)
    [arrived] = [a for name, a in automations("greeting").items() if "arrived" in name]
    api(f"/automations/{arrived['id']}", {"enabled": False}, "PATCH")
    due = missed_runs("nightly")
    changed = FLOWS.replace('Cron("0 4 * * mon"), ', "").replace('When("test.left"),', "")
    kept, _, _ = changed.partition('@flow(schedules=[Cron("0 6')
    (sheepfold / "night.py").write_text(kept, encoding="utf-8")

    with using_settings(notify_url=None):
        _services.up(only=("runner",))

    assert schedule("often", "every-5-seconds")["active"] is False
    assert {s["slug"] for s in deployment("nightly")["schedules"]} == {
        schedule("nightly", "every-day-at-03-00-utc")["slug"],
        None,  # made by hand
    }
    assert [s["slug"][:22] for s in deployment("greeting")["schedules"]] == [
        "headrace-every-2-weeks"
    ]
    # the same one: made anew, it would miss the events of a moment
    assert [(a["id"], a["enabled"]) for a in automations("greeting").values()] == [
        (arrived["id"], False)
    ]
    assert deployment("farewell")["schedules"] == []
    assert automations("farewell") == {}
    assert not any(a["name"] == notification.NAME for a in api("/automations/filter", {}))
    states = [api(f"/flow_runs/{run['id']}")["state"] for run in due]
    assert [state["name"] == "Missed" for state in states] == [True, True, False]


def missed_runs(flow: str) -> list[dict[str, Any]]:
    """Let Prefect's scheduler make the runs of the last three nights, and return them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    span = {"start_time": str(today - timedelta(days=3)), "end_time": str(today), "max_runs": 3}
    api(f"/deployments/{deployment(flow)['id']}/schedule", span)
    made = [
        run for run in runs(flow) if run["auto_scheduled"] and "03:00" in run["expected_start_time"]
    ]
    return [run for run in made if run["expected_start_time"] < today.isoformat()]
