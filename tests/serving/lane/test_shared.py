"""Rarely asked endpoints share a process: only what is asked is loaded, and answers by itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from headrace.decisions import DecisionLog
from serving.lane.app import LaneApp
from serving.lane.member import PATHS
from serving.lane.notices import read_lanes
from serving.lane.shared import SharedReplica
from serving.lane.table import LaneTable, Served

NAMES = ("first", "second", "third")
ASKED = {"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance": 719}}


class Shared:
    """This is a process that several endpoints share, in the event loop of a thread."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.replica = SharedReplica(**options)

    def take(self, *tables: LaneTable) -> None:
        document = {"tables": [table.to_json() for table in tables]}
        self.wait(self.replica.take(document))
        self.url = next(n.url for n in read_lanes(tables[0].notices, tables[0].endpoint)) or ""

    def wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def loaded(self) -> set[str]:
        return {name for name, each in self.replica.app.members.items() if each.is_loaded}

    def decide(self, name: str, **fields: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/{name}/decide", json={**ASKED, **fields}, timeout=30)

    def stop(self) -> None:
        self.wait(self.replica.leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture
def three(tables: Callable[..., LaneTable], tmp_path: Path) -> list[LaneTable]:
    """Tables of three endpoints, of which each has a log of its own."""
    return [
        replace(tables(tmp_path / name), endpoint=name, notices=tmp_path / "lanes", shared=True)
        for name in NAMES
    ]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving waits for clients that nobody is in these tests."""
    monkeypatch.setattr("serving.lane.shared.NOTICE_SECONDS", 0.0)
    monkeypatch.setattr("serving.lane.shared.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("serving.lane.shared._LOOK_SECONDS", 0.05)


@pytest.fixture
def start() -> Iterator[Callable[..., Shared]]:
    running: list[Shared] = []

    def begin(*tables: LaneTable, **options: Any) -> Shared:
        running.append(Shared(**options))
        running[-1].take(*tables)
        return running[-1]

    yield begin
    for each in running:
        each.stop()


def until(happens: Callable[[], Any], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_all_are_announced_at_one_address_before_any_is_loaded(start, three):
    shared = start(*three)

    notices = [read_lanes(table.notices, table.endpoint)[0] for table in three]

    assert {notice.url for notice in notices} == {shared.url}
    assert [notice.generation for notice in notices] == [1, 1, 1]
    assert shared.loaded() == set()
    assert httpx.get(f"{shared.url}/healthz").status_code == 200


def test_the_one_that_is_asked_is_loaded_and_logs_by_itself(start, three):
    shared = start(*three)

    answer = shared.decide("second", id="A")

    assert (answer.status_code, answer.json()["endpoint"]) == (200, "second")
    assert shared.loaded() == {"second"}
    assert shared.decide("second", id="A").json()["repeated"] is True
    assert shared.decide("first", id="A").json()["repeated"] is False
    with DecisionLog.open(three[1].log, writer="reader") as log:
        assert log.decision("A") is not None


def test_beyond_the_most_the_one_asked_longest_ago_is_let_go(start, three):
    shared = start(*three, most=2)

    for name in ("first", "second", "first", "third"):
        assert shared.decide(name).status_code == 200

    until(lambda: shared.loaded() == {"first", "third"})
    assert shared.decide("second", id="B").status_code == 200
    until(lambda: shared.loaded() == {"third", "second"})


def test_one_that_nobody_asks_is_let_go_and_knows_its_decisions_when_it_wakes(start, three):
    shared = start(*three, idle_seconds=0.2)
    first = shared.decide("first", id="A").json()
    until(lambda: shared.loaded() == set())

    again = shared.decide("first", id="A").json()
    told = httpx.post(
        f"{shared.url}/v1/first/outcomes", json={"outcomes": [{"id": "A", "value": 1}]}
    )

    assert again == first | {"repeated": True}
    assert (told.status_code, told.json()["recorded"]) == (200, 1)


def test_an_outcome_wakes_an_endpoint(start, three):
    shared = start(*three, idle_seconds=0.2)
    shared.decide("first", id="A")
    until(lambda: shared.loaded() == set())

    told = httpx.post(
        f"{shared.url}/v1/first/outcomes", json={"outcomes": [{"id": "A", "value": 0}]}
    )

    assert told.json()["recorded"] == 1


def test_who_counts_what_an_endpoint_does_keeps_it_neither_awake_nor_wakes_it(start, three):
    shared = start(*three, idle_seconds=0.3)
    shared.decide("first")
    ends = time.monotonic() + 5

    while shared.loaded():
        assert time.monotonic() < ends
        assert httpx.get(f"{shared.url}/v1/first/metrics").status_code == 200
    asleep = httpx.get(f"{shared.url}/v1/first/metrics")

    assert (asleep.status_code, asleep.text) == (200, "# asleep\n")
    assert shared.loaded() == set()


def test_counts_go_on_over_a_sleep(start, three):
    shared = start(*three, idle_seconds=0.2)
    shared.decide("first")
    until(lambda: shared.loaded() == set())
    decided, text = 1, "# asleep\n"

    while text == "# asleep\n":  # on a busy machine it sleeps again before it can be asked
        assert shared.decide("first").status_code == 200
        decided, text = decided + 1, httpx.get(f"{shared.url}/v1/first/metrics").text

    counted = f'headrace_decisions_total{{endpoint="first",model="flight_delay/1"}} {decided}.0'
    assert counted in text


def test_while_one_is_loaded_the_others_answer(start, three, monkeypatch):
    shared = start(*three, patience=0.3)
    until(lambda: shared.decide("first").status_code == 200)
    from serving.lane import member as module

    load, held = module.load_decider, threading.Event()

    async def slowly(table: LaneTable, *arguments: Any, **options: Any) -> Any:
        if table.endpoint == "second":
            await asyncio.to_thread(held.wait, 20)
        return await load(table, *arguments, **options)

    monkeypatch.setattr(module, "load_decider", slowly)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shared.decide, "second")
        others = [shared.decide("first").status_code for _ in range(5)]
        refused = waiting.result()
    held.set()

    assert others == [200] * 5
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "starting"
    until(lambda: "second" in shared.loaded())
    assert shared.decide("second").status_code == 200


def test_many_who_ask_a_sleeping_one_load_it_once(start, three, monkeypatch):
    shared = start(*three)
    from serving.lane import member as module

    load, loads = module.load_decider, []

    async def counted(table: LaneTable, *arguments: Any, **options: Any) -> Any:
        loads.append(table.endpoint)
        return await load(table, *arguments, **options)

    monkeypatch.setattr(module, "load_decider", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(shared.decide, ["third"] * 8))

    assert {answer.status_code for answer in answers} == {200}
    assert loads == ["third"]


def test_another_champion_answers_whether_the_endpoint_sleeps_or_not(start, three, bundles):
    shared = start(*three)
    shared.decide("first")
    newer = Served(ref="flight_delay/2", folder=bundles["flight_delay/2"])
    changed = [replace(table, generation=2, champion=newer) for table in three]

    shared.take(*changed)

    features = {"carrier": "UA", "hour": 12}
    models = [shared.decide(name, features=features).json()["model"] for name in NAMES]
    assert models == ["flight_delay/2"] * 3
    assert read_lanes(three[0].notices, "second")[0].generation == 2


def test_a_table_that_cannot_be_taken_is_told_and_the_others_answer(start, three, tmp_path):
    broken = replace(three[1], champion=Served(ref="gone/1", folder=tmp_path / "gone"))
    shared = start(three[0], broken)

    (notice,) = read_lanes(broken.notices, "second")

    assert (notice.generation, notice.failed) == (0, 1)
    assert notice.message
    assert shared.decide("first").status_code == 200
    assert shared.decide("second").status_code == 503


def test_what_is_none_of_them_is_refused_and_loads_nothing(start, three):
    shared = start(*three)

    unknown, mistaken = shared.decide("fisrt"), httpx.get(f"{shared.url}/v1/first/nothing")

    assert unknown.status_code == mistaken.status_code == 404
    assert "Did you mean 'first'?" in unknown.json()["error"]["message"]
    assert shared.loaded() == set()


def test_what_may_be_asked_is_what_a_lane_answers(three, tmp_path):
    with DecisionLog.open(tmp_path / "own", writer="test") as log:
        paths = LaneApp("first", log)._paths

    assert {
        path.removeprefix("/v1/first"): each.verb
        for path, each in paths.items()
        if path.startswith("/v1/first")
    } == PATHS


def test_one_that_goes_is_answered_until_another_process_has_it(start, three):
    shared = start(*three)
    shared.take(*three[:2])

    assert shared.decide("third").status_code == 200
    assert read_lanes(three[2].notices, "third")


def test_the_next_process_takes_over_on_the_same_port(start, three):
    first = start(*three)
    port = urlsplit(first.url).port
    first.wait(first.replica.leave())
    assert read_lanes(three[0].notices, "first") == ()

    second = start(*(replace(table, port=port) for table in three))

    assert urlsplit(second.url).port == port
    assert second.decide("first").status_code == 200
