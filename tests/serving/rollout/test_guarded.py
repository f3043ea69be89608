"""Whose answers a lane counts follows from route, rule and history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.settings import Settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.host import table_of
from serving.host_desired import Desired
from serving.lane.table import LaneTable
from serving.rule import Rule
from serving.rule_guardrails import Calibration, ErrorRate, Latency

ONE, TWO, THREE = "minutes/1", "minutes/2", "minutes/3"
LIVE = Rule(
    name="live",
    metric="mae",
    label_window_hours=8,
    guardrails=(Latency(max_ms=50.0), ErrorRate(max=0.01)),
)
SPEC = EndpointSpec(
    model="minutes", task="estimation", clock="live", space="headrace", rule=LIVE.document()
)


@pytest.fixture
def of(tmp_path: Path) -> Iterator[Settings]:
    """A home in which two of three versions have bundles."""
    with using_settings(home=tmp_path) as settings:
        for version in (2, 3):
            path = tmp_path / "serving" / "versions" / "minutes" / f"{version}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"digest": f"d{version}"}))
        yield settings


@pytest.fixture
def endpoints(of: Settings) -> Endpoints:
    made = Endpoints()
    made.declare("minutes", spec=SPEC, champion=TWO, challenger=THREE, reason="a flow")
    return made


def table(endpoints: Endpoints, of: Settings) -> LaneTable:
    desired = Desired(endpoints, of, table_of)
    desired.read()
    return desired.tables["minutes"]


def told(found: LaneTable) -> list[tuple[str, str]]:
    return [(guard.model, guard.experiment) for guard in found.guards]


def test_challengers_are_counted_and_a_first_champion_is_not(endpoints, of):
    found = table(endpoints, of)

    assert told(found) == [(THREE, endpoints.route("minutes").experiment)]
    assert found.guards[0].limits_ms == (50.0,)
    assert found.previous is None
    assert LaneTable.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_in_a_watch_the_new_champion_is_counted_in_the_old_ones_comparison(endpoints, of):
    endpoints.change("minutes", "promote", generation=1, reason="better", watch=True)

    found = table(endpoints, of)

    assert told(found) == [(THREE, endpoints.route("minutes").experiment)]
    assert found.previous is not None
    assert found.previous.ref == TWO


def test_a_reign_goes_on_through_changes_that_leave_the_champion(endpoints, of):
    endpoints.change("minutes", "promote", generation=1, reason="better")
    first = told(table(endpoints, of))
    endpoints.change("minutes", "hold", generation=2, reason="a fair", why="a fair")
    endpoints.change("minutes", "redeploy", generation=3, reason="new code")

    assert told(table(endpoints, of)) == first

    other = LIVE.model_copy(update={"guardrails": [{"metric": "error_rate", "max": 0.02}]})
    spec = replace(SPEC, rule=other.document())
    endpoints.declare("minutes", spec=spec, champion=THREE, reason="another limit")

    assert told(table(endpoints, of)) != first  # what counted by another rule counts no more


def test_after_a_rollback_nobody_is_counted(endpoints, of):
    endpoints.change("minutes", "promote", generation=1, reason="better")
    endpoints.change("minutes", "rollback", generation=2, reason="worse")

    found = table(endpoints, of)

    assert (found.guards, found.previous) == ((), None)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(None, id="no rule"),
        pytest.param(Rule(name="plain", metric="mae", label_window_hours=8).document(), id="plain"),
        pytest.param(
            Rule(
                name="calibrated",
                metric="brier",
                label_window_hours=8,
                guardrails=(Calibration(max=0.05),),
            ).document(),
            id="only by outcomes",
        ),
        pytest.param({"name": "of a later version", "metric": "unheard"}, id="not readable"),
    ],
)
def test_without_guardrails_that_need_no_outcome_nothing_is_counted(rule, of):
    endpoints = Endpoints()
    spec = replace(SPEC, rule=rule)
    endpoints.declare("minutes", spec=spec, champion=TWO, challenger=THREE, reason="a flow")

    assert table(endpoints, of).guards == ()


def test_a_champion_before_without_a_bundle_keeps_nobody_from_answering(endpoints, of):
    endpoints.change("minutes", "promote", generation=1, reason="better")
    (of.home / "serving" / "versions" / "minutes" / "2.json").unlink()

    found = table(endpoints, of)

    assert (found.champion.ref, found.previous) == (THREE, None)
