"""How a lane stands follows from what its replicas say, and from what ails Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.endpoints import Replica
from serving.host_replicas import surge_percent, wanted_replicas
from serving.host_seen import lane_as_seen
from serving.lane.notices import LaneNotice
from serving.lane.table import LaneTable, Served


def table(generation: int) -> LaneTable:
    return LaneTable(
        endpoint="minutes", generation=generation, champion=Served(ref="m/1", folder=Path("m")),
        challenger=None, experiment=None, lookups=(), clock="live", may_lack=frozenset(),
        online=Path("online.db"), space="headrace", log=Path("log"), notices=Path("lanes"),
    )  # fmt: skip


def says(port: int, generation: int, **more: object) -> LaneNotice:
    return LaneNotice(
        generation=generation, url=f"http://127.0.0.1:{port}", pid=port, **more
    )  # type: ignore[arg-type]  # fmt: skip


STARTING = LaneNotice(generation=0, url=None, pid=7)


@pytest.mark.parametrize(
    ("notices", "state"),
    [
        pytest.param([], "starting", id="nobody is there yet"),
        pytest.param([STARTING], "starting", id="one is starting"),
        pytest.param([says(1, 3)], "serving", id="one answers with it"),
        pytest.param([says(1, 3), says(2, 3)], "serving", id="all answer with it"),
        pytest.param([says(1, 3), says(2, 2)], "starting", id="one still answers as before"),
        pytest.param([says(1, 3), STARTING], "serving", id="a new one holds nobody back"),
        pytest.param([says(1, 2, failed=3)], "failed", id="one could not take it"),
        pytest.param([says(1, 3), says(2, 2, failed=3)], "failed", id="one of two could not"),
        pytest.param([says(1, 2, failed=2)], "starting", id="what failed was an earlier one"),
    ],
)
def test_a_generation_is_served_when_every_replica_that_answers_does_so_with_it(
    notices: list[LaneNotice], state: str
):
    lane = lane_as_seen(table(3), notices)

    assert (lane.state, lane.generation) == (state, 3)


def test_the_replicas_that_answer_are_named_the_first_first():
    lane = lane_as_seen(table(3), [says(11, 3), says(12, 3), STARTING])

    assert (lane.url, lane.pid, lane.front) == ("http://127.0.0.1:11", 11, None)
    assert lane.replicas == (
        Replica(url="http://127.0.0.1:11", pid=11, generation=3),
        Replica(url="http://127.0.0.1:12", pid=12, generation=3),
    )


def test_with_a_front_requests_come_to_it_and_the_replicas_are_named_beside():
    lane = lane_as_seen(table(3), [says(11, 3)], front="http://127.0.0.1:8700")

    assert (lane.url, lane.front) == ("http://127.0.0.1:8700", "http://127.0.0.1:8700")
    assert [replica.url for replica in lane.replicas] == ["http://127.0.0.1:11"]


def test_without_a_replica_there_is_no_address_not_even_the_fronts():
    lane = lane_as_seen(table(3), [], front="http://127.0.0.1:8700")

    assert (lane.url, lane.pid, lane.replicas) == (None, None, ())


@pytest.mark.parametrize(
    ("notices", "ails", "expected"),
    [
        pytest.param([says(1, 2, failed=3, message="damaged")], {}, ("failed", "damaged"),
                     id="a replica says why"),
        pytest.param([says(1, 2)], {"refused": "no view"}, ("failed", "no view"),
                     id="a replica that was to replace it said why, and ended"),
        pytest.param([], {"broken": "no room"}, ("failed", "no room"), id="Serve says why"),
        pytest.param([says(1, 3)], {"ailing": "Ray died"}, ("serving", "Ray died"),
                     id="it answers on while Ray is away"),
        pytest.param([], {"ailing": "Ray died"}, ("starting", "Ray died"),
                     id="it waits for Ray"),
        pytest.param([says(1, 3)], {"refused": "no view"}, ("serving", "no view"),
                     id="what answers with it is not made to fail by another one"),
    ],
)  # fmt: skip
def test_why_a_lane_does_not_serve_is_said(
    notices: list[LaneNotice], ails: dict[str, str], expected: tuple[str, str]
):
    lane = lane_as_seen(table(3), notices, **ails)

    assert (lane.state, lane.message) == expected


def test_as_many_replicas_run_as_an_endpoint_has_at_least():
    assert [wanted_replicas(bounds) for bounds in ((1, 1), (2, 5), (3, 3))] == [1, 2, 3]


@pytest.mark.parametrize("replicas", range(1, 65))
def test_replicas_are_replaced_with_one_more_at_a_time(replicas: int):
    from math import ceil

    assert ceil(surge_percent(replicas) * replicas / 100) == 1
