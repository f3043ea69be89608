"""The flow `rollout` in Prefect: every endpoint a node, and one that fails stops no other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from flows.rollout import rollout
from flows.runtime import run_flow
from headrace.clock import VirtualClock, using_clock
from headrace.decisions import DecisionLog
from headrace.settings import Settings, settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.rule import Rule

FIRST = datetime(2013, 6, 1, tzinfo=UTC)
RULE = Rule(name="better", metric="brier", label_window_hours=6, min_decisions=100)


@pytest.fixture
def endpoints(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A home with real servers: 'slow' waits for evidence, 'torn' cannot be read, 'ruleless' is."""
    with using_settings(home=tmp_path_factory.mktemp("home"), actor="rollout"):
        endpoints = Endpoints()
        for name, rule in (("slow", RULE), ("torn", RULE), ("ruleless", None)):
            spec = EndpointSpec(
                model=name,
                task="classification",
                clock="replayed",
                space=name,
                rule=None if rule is None else rule.document(),
            )
            with using_clock(VirtualClock(FIRST)):
                endpoints.declare(
                    name, spec=spec, champion=f"{name}/1", challenger=f"{name}/2", reason="a flow"
                )
        _decide("slow", str(endpoints.route("slow").experiment))
        decisions_folder(settings(), "torn").parent.mkdir(parents=True, exist_ok=True)
        decisions_folder(settings(), "torn").write_text("no folder", encoding="utf-8")
        yield endpoints


def _decide(name: str, experiment: str) -> None:
    at = round((FIRST + timedelta(hours=1)).timestamp() * 1e6)
    with DecisionLog.open(decisions_folder(settings(), name), writer="lane") as log:
        log.append(
            [
                {
                    "kind": "decision", "id": "1", "at": at, "logged": at, "features": [1.0],
                    "columns": log.columns(["wind"]), "entity": {}, "overridden": [],
                    "missing": [], "model": f"{name}/1", "score": 0.5, "answer": {},
                    "generation": 1, "experiment": experiment,
                }
            ]
        )  # fmt: skip


def _task_runs(prefect_run_id: str, count: int) -> dict[str, str]:
    """Return the states of a run's task runs by name; they are recorded a moment after the end."""
    url = f"{settings().prefect_api_url}/task_runs/filter"
    asked = {"flow_runs": {"id": {"any_": [prefect_run_id]}}}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        runs = httpx.post(url, json=asked, trust_env=False).json()
        found = {r["name"]: r["state_name"] for r in runs}
        if len(found) == count and set(found.values()) <= {"Completed", "Failed"}:
            return found
        time.sleep(0.2)
    raise AssertionError(found)


def _report(run: Any, node: str) -> dict[str, Any]:
    [report] = run.outcomes[node].outputs.values()
    return dict(report.document)


def test_every_endpoint_with_a_rule_is_judged_and_one_that_fails_stops_no_other(
    endpoints: Endpoints,
) -> None:
    run = run_flow(rollout, {})

    shown = _task_runs(run.links["Prefect run"].rsplit("/", 1)[1], 2)
    assert shown == {"judge_endpoint:slow": "Completed", "judge_endpoint:torn": "Failed"}
    assert run.state == "failed"
    report = _report(run, "judge_endpoint:slow")
    assert (report["action"], report["did"], report["champion"]) == ("hold", None, "slow/1")
    assert report["told"].startswith("Hold slow/2 at slow: slow/1 goes on answering.")
    assert report["trace"]["gathered"]["as_of"] == (FIRST + timedelta(hours=1)).isoformat()
    [kept] = endpoints.judgements("slow", report["experiment"])
    assert kept.trace == report["trace"]


def test_an_endpoint_that_is_asked_for_and_has_no_rule_says_so(endpoints: Endpoints) -> None:
    run = rollout.run(endpoints=["ruleless"])

    report = _report(run, "judge_endpoint:ruleless")
    assert (report["action"], report["changed"]) == ("none", False)
    assert report["told"] == "The endpoint 'ruleless' has no rule; people decide there."
    assert endpoints.route("ruleless").generation == 1


def test_where_nothing_is_to_be_judged_there_is_no_node(endpoints: Endpoints) -> None:
    for name in ("slow", "torn"):
        endpoints.change(name, "withdraw", generation=1, reason="x")

    run = rollout.run()

    assert (run.state, run.outcomes) == ("completed", {})


def test_it_starts_each_hour_and_when_people_or_outcomes_say_what_it_waits_for() -> None:
    starts = [str(each) for each in (*rollout.schedules, *rollout.triggers)]

    assert starts == [
        "every hour",
        "when headrace.model.approved",
        "when headrace.model.released",
        "when headrace.outcomes.matured",
    ]
    assert rollout.triggers[-1].parameters == {"endpoints": "{{ event.payload.endpoints }}"}
    rollout.check_starts()
