"""What a lane counts, and how Prometheus reads it: with its own parser."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from headrace.clock import from_us
from serving.endpoints import Lane, Replica
from serving.lane.exchange import Answer, Asked
from serving.lane.meters import Meters
from serving.lane.metrics_declared import METRICS
from serving.lane.metrics_targets import write_targets
from serving.lane.notices import ShadowFigures, ShadowNotice, shadow_file, write_notice

GUIDE = Path(__file__).parents[3] / "docs/guide/watching.md"
DECIDE = "/v1/{endpoint}/decide"


def scraped(lane: Any, accept: str = "") -> str:
    request = Request(f"{lane.url}/metrics", headers={"accept": accept})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


def samples(lane: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels after the endpoint's."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(scraped(lane)):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "endpoint"}
            found.setdefault(sample.name, {})[tuple(labels.values())] = sample.value
    return found


def documented() -> set[tuple[str, str, tuple[str, ...]]]:
    """The metrics of the guide's table: name, type, and labels after the endpoint's."""
    row = re.compile(r"^\| `(headrace_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
    text = GUIDE.read_text(encoding="utf-8")
    rows = row.findall(text)
    return {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_what_happened_is_counted_by_path_status_model_and_code(start_lane, table):
    lane = start_lane(table())
    for name in ("UA1", "UA2", "UA1"):
        assert lane.decide(id=name).status == 200
    assert lane.decide(entity={"origin": "EWR", "tail": "N404"}).status == 404
    assert lane.ask("/v1/flight_delay/decid", b"{}").status == 404
    assert lane.tell({"id": "UA1", "value": 1}, {"id": "UA2", "value": 0}).status == 200
    assert lane.tell({"id": "UA1", "value": 1}).status == 200

    told = samples(lane)

    assert told["headrace_requests_total"] == {
        (DECIDE, "200"): 3,
        (DECIDE, "404"): 1,
        ("/v1/{endpoint}/outcomes", "200"): 2,
        ("other", "404"): 1,
    }
    assert told["headrace_decisions_total"] == {("flight_delay/1",): 2}
    assert told["headrace_decisions_repeated_total"] == {(): 1}
    assert told["headrace_refusals_total"] == {("unknown_entity",): 1, ("unknown_endpoint",): 1}
    assert told["headrace_outcomes_total"] == {("recorded",): 2, ("repeated",): 1}
    assert told["headrace_request_seconds_count"][DECIDE,] == 3
    assert 0 < told["headrace_request_seconds_sum"][DECIDE,] < 30
    assert told["headrace_batch_decisions_sum"] == {(): 2}
    for step in ("features", "score", "log_append"):
        assert told[f"headrace_{step}_seconds_count"] == told["headrace_batch_decisions_count"]
    assert told["headrace_log_decisions"] == {(): 2}
    assert told["headrace_generation"] == {(): 1}
    assert told["headrace_requests_in_flight"] == {(): 1}  # the one that asks


def test_a_scrape_shows_exactly_the_metrics_of_the_guide(start_lane, table):
    lane = start_lane(table(challenger="flight_delay/2"))
    lane.decide()

    families = list(text_string_to_metric_families(scraped(lane)))

    kinds = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in families
        if family.name.startswith("headrace_")
    }
    shown_as = {"info": "gauge"}  # which the text format has no other word for
    declared = {(each.name, each.kind, each.labels) for each in METRICS}
    assert declared == documented()
    assert {name: shown_as.get(kind, kind) for name, kind, _ in declared} == kinds
    labels = {
        sample.name: set(sample.labels) - {"le"} for family in families for sample in family.samples
    }
    for each in METRICS:
        names = [each.name, f"{each.name}_bucket"]
        shown = [labels[name] for name in names if name in labels]
        assert shown in ([], [{"endpoint", *each.labels}])


def test_the_process_is_measured_under_the_names_that_everybody_uses(endpoint):
    told = samples(endpoint)

    assert told["process_cpu_seconds_total"][()] > 0
    assert told["process_resident_memory_bytes"][()] > 10_000_000


def test_who_asks_for_open_metrics_gets_it(endpoint):
    text = scraped(endpoint, "application/openmetrics-text; version=1.0.0")

    assert text.endswith("# EOF\n")
    assert {family.name for family in open_metrics(text)} >= {"headrace_decisions"}


def test_buckets_cumulate_and_end_with_all(endpoint):
    endpoint.decide()

    shown = [
        sample
        for family in text_string_to_metric_families(scraped(endpoint))
        for sample in family.samples
        if family.name == "headrace_request_seconds" and sample.labels["path"] == DECIDE
    ]

    buckets = [(float(s.labels["le"]), s.value) for s in shown if s.name.endswith("_bucket")]
    [count] = [sample.value for sample in shown if sample.name.endswith("_count")]
    assert [edge for edge, _ in buckets][:2] == [0.00025, 0.0005]
    assert buckets == sorted(buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[-1] == (float("inf"), count)


def test_shadows_are_shown_as_they_say_of_themselves(start_lane, table):
    chosen = table(challenger="flight_delay/2")
    lane = start_lane(chosen)
    figures = ShadowFigures(
        model="flight_delay/2", experiment="1-against-2", scored=7, failed=2, dropped=3, behind=512
    )
    write_notice(
        shadow_file(chosen.notices, "flight_delay"), ShadowNotice.of(1, os.getpid(), [figures])
    )

    told = samples(lane)

    names = ("scored_total", "failed_total", "dropped_total", "behind_bytes")
    shown = [told[f"headrace_shadow_{name}"]["flight_delay/2",] for name in names]
    assert shown == [7, 2, 3, 512]
    assert told["headrace_challenger_share"] == {("flight_delay/2",): 0}


def test_a_switch_changes_who_is_shown_to_answer(start_lane, table):
    lane = start_lane(table())
    lane.decide()
    lane.take(table(champion="flight_delay/2", generation=2))
    lane.decide(features={"carrier": "UA", "hour": 7})

    told = samples(lane)

    [(model, _)] = told["headrace_champion_info"]
    assert model == "flight_delay/2"
    assert told["headrace_generation"] == {(): 2}
    assert told["headrace_decisions_total"] == {("flight_delay/1",): 1, ("flight_delay/2",): 1}


def test_whatever_is_asked_for_the_number_of_series_stays_bounded(start_lane, table):
    lane = start_lane(table())
    before = len(scraped(lane).splitlines())
    for number in range(200):
        lane.ask(f"/v1/flight_delay/{number}")
    for number in range(200):
        lane.replica._app.meters.answered(f"flight_delay/{number}")
        lane.replica._app.meters.fell_back(f"flight_delay/{number}", "error")

    told = samples(lane)

    assert told["headrace_requests_total"]["other", "404"] == 200
    assert sum(told["headrace_decisions_total"].values()) == 200
    assert len(scraped(lane).splitlines()) < before + 150


def asked(path: str) -> Asked:
    async def receive() -> Any:
        raise AssertionError

    return Asked({"path": path, "method": "POST", "headers": []}, receive)


def test_counting_a_request_costs_next_to_nothing():
    meters = Meters("flight_delay")
    meters.watch({"/v1/flight_delay/decide": True})
    request, answer = asked("/v1/flight_delay/decide"), Answer(b"{}")
    request.at = meters.now()

    def microseconds() -> float:
        begun = time.process_time()
        for _ in range(10_000):
            meters.in_flight += 1
            meters.in_flight -= 1
            meters.ended(request, answer)
        return (time.process_time() - begun) * 100

    costs = [microseconds() for _ in range(7)]

    # half a microsecond on a machine of 2020; the bound is for slow and busy ones
    assert min(costs) < 3


@pytest.fixture
def lanes() -> dict[str, Lane]:
    def replica(port: int) -> Replica:
        return Replica(url=f"http://127.0.0.1:{port}", pid=port, generation=1)

    at = from_us(0)
    return {
        "two": Lane(state="serving", generation=1, at=at, replicas=(replica(4001), replica(4002))),
        "safe": Lane(state="serving", generation=1, at=at, url="https://127.0.0.1:4003"),
        "none": Lane(state="starting", generation=1, at=at),
    }


def test_the_file_of_targets_names_every_replica_that_listens(
    lanes: dict[str, Lane], tmp_path: Path
):
    path = tmp_path / "serving" / "prometheus.json"

    write_targets(path, lanes)

    assert json.loads(path.read_text()) == [
        {
            "targets": ["127.0.0.1:4003"],
            "labels": {
                "job": "headrace",
                "lane": "safe",
                "__scheme__": "https",
                "__metrics_path__": "/v1/safe/metrics",
            },
        },
        {
            "targets": ["127.0.0.1:4001", "127.0.0.1:4002"],
            "labels": {
                "job": "headrace",
                "lane": "two",
                "__scheme__": "http",
                "__metrics_path__": "/v1/two/metrics",
            },
        },
    ]
    assert [file.name for file in path.parent.iterdir()] == ["prometheus.json"]


def test_a_stopped_lane_is_no_target(lanes: dict[str, Lane], tmp_path: Path):
    path = tmp_path / "prometheus.json"

    write_targets(path, {"two": replace(lanes["two"], state="stopped")})

    assert json.loads(path.read_text()) == []


def test_an_outcome_of_each_kind_is_counted_by_itself():
    meters = Meters("flight_delay")

    meters.told(recorded=3, late=1)
    meters.told(corrected=2, repeated=0)

    assert meters.outcomes == {"recorded": 3, "late": 1, "corrected": 2}


def test_a_breaker_is_shown_in_one_state_of_three(start_lane: Callable[..., Any], table):
    lane = start_lane(table(challenger="flight_delay/2"))
    lane.replica._app.meters.breaker_is("flight_delay/2", "open", "5 errors")

    told = samples(lane)

    assert told["headrace_breaker_state"] == {
        ("flight_delay/2", "closed"): 0,
        ("flight_delay/2", "open"): 1,
        ("flight_delay/2", "probing"): 0,
    }
