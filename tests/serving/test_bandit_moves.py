"""Shares that outcomes ask for become changes of the endpoint, with their evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.bandit_moves import move, move_all
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import notices_folder
from serving.lane.bandit_notice import BanditNotice, write_bandit
from serving.traffic import Bandit

A, B, C = (f"flight_delay/{version}" for version in (1, 2, 3))
NAME = "flight_delay"
SPEC = EndpointSpec(model=NAME, task="classification", clock="live", space="headrace")
TRACE = {"counts": {A: {"number": 10}, B: {"number": 9}}}


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    """An endpoint whose challenger is dealt half of the traffic, as outcomes ask."""
    endpoints = Endpoints(Database(tmp_path / "headrace.db"))
    endpoints.declare(NAME, spec=SPEC, champion=A, challenger=B, also=[C], reason="first")
    endpoints.change(
        NAME,
        "split",
        generation=1,
        reason="try",
        shares={B: 0.5},
        design="thompson",
        bandit=Bandit(),
    )
    return endpoints


@pytest.fixture
def wanted(endpoints: Endpoints, tmp_path: Path) -> Callable[..., None]:
    """Say shares as the follower does."""

    def say(shares: dict[str, float], generation: int = 2, salt: str | None = None) -> None:
        traffic = endpoints.route(NAME).traffic
        assert traffic is not None
        notice = BanditNotice(
            generation=generation, salt=salt or traffic.salt, shares=shares, trace=TRACE
        )
        write_bandit(tmp_path, NAME, notice)

    return say


def test_wanted_shares_are_dealt_and_the_history_says_why(endpoints, wanted, tmp_path):
    experiments = [rival.experiment for rival in endpoints.route(NAME).rivals]
    wanted({A: 0.3, B: 0.7})

    route = move(endpoints, tmp_path, NAME)

    assert route == endpoints.route(NAME)
    assert route.traffic.shares() == {B: 0.7}
    assert [rival.experiment for rival in route.rivals] == experiments
    change = endpoints.history(NAME)[-1]
    assert (change.action, change.generation, change.trace) == ("reweigh", 3, TRACE)
    assert change.reason == (
        "Thompson sampling: flight_delay/1 50.0% to 30.0%, flight_delay/2 50.0% to 70.0%"
    )


def test_the_same_shares_are_not_dealt_again(endpoints, wanted, tmp_path):
    wanted({A: 0.3, B: 0.7})

    moves = [move(endpoints, tmp_path, NAME) is not None for _ in range(3)]

    assert moves == [True, False, False]
    assert len(endpoints.history(NAME)) == 3


@pytest.mark.parametrize(
    ("shares", "more"),
    [
        pytest.param({A: 0.495, B: 0.505}, {}, id="less than a point"),
        pytest.param({A: 0.3, B: 0.7}, {"generation": 1}, id="of before the last change"),
        pytest.param({A: 0.3, B: 0.7}, {"salt": "another"}, id="of another dealing"),
        pytest.param({A: 0.3, B: 0.3, C: 0.4}, {}, id="with a model that is in shadow alone"),
        pytest.param({}, {}, id="none could be worked out"),
    ],
)
def test_what_is_not_for_this_route_changes_nothing(endpoints, wanted, tmp_path, shares, more):
    wanted(shares, **more)

    assert move(endpoints, tmp_path, NAME) is None
    assert endpoints.route(NAME).generation == 2


def test_an_endpoint_that_deals_by_anything_else_is_left_alone(endpoints, wanted, tmp_path):
    wanted({A: 0.3, B: 0.7}, generation=3)
    endpoints.change(NAME, "split", generation=2, reason="ab", shares={B: 0.5}, design="ab")

    assert move(endpoints, tmp_path, NAME) is None


def test_all_endpoints_of_an_installation_are_looked_at(endpoints, wanted, tmp_path):
    with using_settings(home=tmp_path) as of:
        wanted({A: 0.3, B: 0.7})
        notices_folder(of).mkdir(parents=True)
        for file in tmp_path.glob("*.bandit.json"):
            file.rename(notices_folder(of) / file.name)

        routes = move_all(endpoints, of)

    assert [(route.endpoint, route.generation) for route in routes] == [(NAME, 3)]
