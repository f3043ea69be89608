"""What lanes are to answer with follows from the database, and from the code at a deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.errors import ServiceError
from headrace.settings import Settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hop_room import require_room_to_deploy
from serving.host import table_of
from serving.host_code import code_digest
from serving.host_desired import Desired
from serving.host_history import history_file, write_history
from serving.host_out import record_outs
from serving.lane.notices import LaneNotice
from serving.lane.table import Hop

SPEC = EndpointSpec(model="minutes", task="estimation", clock="live", space="headrace")


@pytest.fixture
def of(tmp_path: Path) -> Iterator[Settings]:
    """A home in which three versions have bundles."""
    with using_settings(home=tmp_path) as settings:
        for version in (1, 2, 3):
            path = tmp_path / "serving" / "versions" / "minutes" / f"{version}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"digest": f"d{version}"}))
        yield settings


@pytest.fixture
def endpoints(of: Settings) -> Endpoints:
    made = Endpoints()
    made.declare("minutes", spec=SPEC, champion="minutes/1", reason="a flow")
    return made


@pytest.fixture
def desired(endpoints: Endpoints, of: Settings) -> Desired:
    found = Desired(endpoints, of, table_of)
    assert found.read()
    return found


def test_reading_again_what_did_not_change_changes_nothing(desired: Desired):
    before = dict(desired.tables)

    assert not desired.read()
    assert desired.tables == before


def test_a_promotion_changes_the_models_and_replaces_no_replica(
    desired: Desired, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
):
    code = desired.tables["minutes"].code
    monkeypatch.setattr("serving.host_code._PLATFORM", ("serving",))  # as if code was edited
    endpoints.change("minutes", "challenge", generation=1, reason="try", challenger="minutes/2")
    endpoints.change("minutes", "promote", generation=2, reason="better")

    assert desired.read()
    table = desired.tables["minutes"]
    assert (table.generation, table.champion.ref, table.code) == (3, "minutes/2", code)


def test_an_endpoint_that_asks_for_more_than_there_is_fails_and_the_others_have_theirs(
    endpoints: Endpoints, of: Settings
):
    for name, gpus in (("early", 0.5), ("late", 0.6)):
        spec = replace(SPEC, placement={"gpus": gpus})
        endpoints.declare(name, spec=spec, champion="minutes/1", reason="a flow")
    with using_settings(home=of.home, gpus=1) as settings:
        desired = Desired(endpoints, settings, table_of)

        desired.read()

    assert set(desired.tables) == {"early", "minutes"}
    generation, why = desired.failed["late"]
    assert generation == 1
    assert why.startswith("Endpoint 'late' asks for 0.6 GPU, but there is 1, and others have 0.5.")
    with pytest.raises(ServiceError, match=r"asks for 0\.6 GPU, but there is none, and others"):
        require_room_to_deploy("third", Hop(gpus=0.6), endpoints)


def test_a_redeploy_replaces_replicas_though_nothing_else_changed(
    desired: Desired, endpoints: Endpoints
):
    before = desired.tables["minutes"]
    endpoints.change("minutes", "redeploy", generation=1, reason="a leak")

    desired.read()

    after = desired.tables["minutes"]
    assert after.code != before.code
    assert replace(after, code=before.code, generation=1) == before


def test_a_deploy_replaces_replicas_where_the_code_was_edited_and_else_does_not(
    desired: Desired, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
):
    first = desired.tables["minutes"].code
    endpoints.declare(
        "minutes", spec=SPEC, champion="minutes/1", challenger="minutes/2", reason="a flow"
    )
    desired.read()
    same = desired.tables["minutes"].code
    monkeypatch.setattr("serving.host_code._PLATFORM", ("serving",))
    endpoints.declare(
        "minutes", spec=SPEC, champion="minutes/1", challenger="minutes/3", reason="a flow"
    )
    desired.read()

    assert same == first != desired.tables["minutes"].code


def test_an_endpoint_whose_model_has_no_bundle_keeps_what_it_has_and_says_why(
    desired: Desired, endpoints: Endpoints, of: Settings
):
    endpoints.change("minutes", "challenge", generation=1, reason="try", challenger="minutes/9")

    changed = desired.read()

    generation, why = desired.failed["minutes"]
    assert (changed, desired.tables["minutes"].generation, generation) == (False, 1, 2)
    assert why.startswith(
        "There is no registered version with a bundle to serve it from 'minutes/9'"
    )


def test_a_port_that_was_found_is_asked_for_after_a_restart(
    desired: Desired, endpoints: Endpoints, of: Settings
):
    desired.remember_ports({"minutes": 30123, "other": 0})

    after = Desired(endpoints, of, table_of)
    after.read()

    assert (desired.tables["minutes"].port, after.tables["minutes"].port) == (0, 30123)


def test_the_code_is_its_sources_and_the_same_as_long_as_they_are(tmp_path: Path):
    first, again = code_digest(), code_digest()

    assert first == again
    assert len(first) == 16


def test_a_challenger_that_a_breaker_took_out_goes_back_into_shadow_once(endpoints: Endpoints):
    endpoints.change("minutes", "challenge", generation=1, reason="try", challenger="minutes/2")
    endpoints.change(
        "minutes", "split", generation=2, reason="a tenth", shares={"minutes/2": 0.1},
        design="canary",
    )  # fmt: skip
    experiment = endpoints.route("minutes").experiment
    notices = [
        LaneNotice(
            generation=3, url="http://127.0.0.1:1", pid=pid,
            out=(("minutes/2", str(experiment), "5 of 5 failed"), ("minutes/3", "other", "old")),
        )
        for pid in (1, 2)
    ]  # fmt: skip

    recorded = [record_outs(endpoints, "minutes", notices) for _ in range(2)]

    last = endpoints.history("minutes")[-1]
    assert recorded == [True, False]
    assert (last.generation, last.action) == (4, "shadow")
    assert last.reason == "the breaker took it out: 5 of 5 failed"
    assert last.after.challenger == "minutes/2"
    assert last.after.traffic is None


def test_the_history_that_lanes_show_is_newest_first_and_bounded(
    endpoints: Endpoints, tmp_path: Path
):
    for number in range(60):
        endpoints.change("minutes", "redeploy", generation=None, reason=f"number {number}")

    write_history(tmp_path, "minutes", endpoints.history("minutes"), [{"action": "hold"}])

    told = json.loads(history_file(tmp_path, "minutes").read_text())
    assert (told["generation"], told["verdicts"]) == (61, [{"action": "hold"}])
    assert [c["reason"] for c in told["changes"]] == [f"number {n}" for n in range(59, 9, -1)]
    assert told["changes"][0]["champion"] == "minutes/1"
