"""A replica that leaves finishes what has begun; one with its port is there before it goes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace.errors import ServiceError
from serving.lane.notices import lane_file, leave_file, read_lanes
from serving.lane.table import Served

BODY = json.dumps(
    {"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance": 719}}
)


class Kept:
    """This is a client that keeps its connection as long as the server does, and counts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        self.answered = self.asked_to_leave = 0

    def ask(self) -> int:
        self._connection.request(
            "POST", "/v1/flight_delay/decide", BODY, {"content-type": "application/json"}
        )
        response = self._connection.getresponse()
        response.read()
        self.answered += response.status == 200
        if response.getheader("connection") == "close":
            self.asked_to_leave += 1
            self._connection.close()
        return response.status

    def close(self) -> None:
        self._connection.close()


def leave(lane: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(lane.replica.leave(), lane._loop)


def test_a_replica_that_leaves_takes_its_notice_away_first_and_sends_its_clients_away(lane, table):
    notices = table().notices
    client = Kept(lane.url)
    before = client.ask(), client.asked_to_leave

    left = leave(lane)
    while read_lanes(notices, "flight_delay"):
        time.sleep(0.005)
    during = client.ask(), client.asked_to_leave
    health = lane.ask("/healthz")
    left.result(10)

    assert before == (200, 0)
    assert during == (200, 1)
    assert (health.status, health.document) == (503, {"status": "leaving"})
    with pytest.raises(ConnectionRefusedError):
        lane.decide()


def test_under_load_no_request_is_lost_to_a_replica_that_leaves(lane, table):
    """Each client goes on until it was asked to connect anew: none is cut off before."""
    clients = [Kept(lane.url) for _ in range(8)]

    def go_on(client: Kept) -> None:
        while not client.asked_to_leave:
            assert client.ask() == 200

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(go_on, client) for client in clients]
        while sum(client.answered for client in clients) < 50:
            time.sleep(0.01)
        leave(lane).result(10)
        for each in asking:
            each.result(10)

    assert [client.asked_to_leave for client in clients] == [1] * 8


def test_the_host_sends_a_replica_away_that_hears_nothing_from_ray(lane, table):
    [notice] = read_lanes(table().notices, "flight_delay")
    path = lane_file(table().notices, "flight_delay", notice)

    leave_file(path).touch()

    ends = time.monotonic() + 20
    while path.exists() or leave_file(path).exists():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_one_replica_is_replaced_on_its_port_without_a_lost_request(lane, start_process, table):
    """Clients that know the port only go on with the one that takes it over."""
    ends = threading.Event()
    statuses: list[int] = []

    def go_on() -> None:
        client = Kept(lane.url)
        while not ends.is_set():
            statuses.append(client.ask())
        client.close()

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(go_on) for _ in range(4)]
        successor = start_process(table(generation=2))
        leave(lane).result(20)
        answered = len(statuses)
        while len(statuses) < answered + 50:
            time.sleep(0.01)
        ends.set()
        for each in asking:
            each.result(20)

    assert successor.url == lane.url
    assert set(statuses) == {200}


def test_of_several_replicas_each_has_a_port_of_its_own(lane, start_process, table):
    second = start_process(table(replicas=(2, 2)))

    assert second.url != lane.url
    assert {n.url for n in read_lanes(table().notices, "flight_delay")} == {lane.url, second.url}


def test_a_replica_takes_the_port_of_one_that_was_killed(start_process, table):
    two = table(replicas=(2, 2))
    first, second = start_process(two), start_process(two)
    second.kill()

    third = start_process(two)

    assert third.url == second.url != first.url
    assert len(list(two.notices.glob("flight_delay.lane.*.json"))) == 2


def test_a_replica_that_cannot_take_its_first_table_does_not_replace_those_that_answer(
    lane, start_replica, table, tmp_path
):
    bad = replace(table(), generation=2, champion=Served(ref="flight_delay/2", folder=tmp_path))

    with pytest.raises(ServiceError) as refused:
        start_replica(bad)

    assert str(refused.value).startswith("A new replica of 'flight_delay' cannot take table 2: ")
    assert lane.decide().document["model"] == "flight_delay/1"


@pytest.fixture
def start_replica() -> Any:
    """Make a replica in this thread take a table, as Ray Serve does with a new one."""
    from serving.lane.replica import LaneReplica

    def start(table: Any) -> None:
        async def life() -> None:
            replica = LaneReplica()
            try:
                await replica.take(json.loads(json.dumps(table.to_json())))
            finally:
                await replica.leave()

        asyncio.run(life())

    return start
