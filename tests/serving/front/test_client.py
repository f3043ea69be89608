"""Both clients where endpoints have a front and several replicas: whom they ask, and when again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from headrace.errors import HeadraceError, ParameterError, ServiceError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.async_client import AsyncClient
from serving.client import Client, DecisionRefused, Outcome, Recorded
from serving.endpoints import Endpoints, EndpointSpec, Lane, Replica

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
ASKED: dict[str, Any] = {"entity": {"tail": "N14228"}}
STARTING = (503, {"error": {"code": "starting", "message": "It is.", "remedy": "wait."}}, {})
FULL = {"error": {"code": "busy", "message": "It is full.", "remedy": "come later."}}


class SmallLane:
    """This answers as it is told to, else decides; it notes who asked what."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.troubles: deque[Any] = deque()
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.connections: list[socket.socket] = []
        self.name = name
        lane = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                lane.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                document = orjson.loads(body) if body else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                lane.asked.append((self.path, headers, document))
                status, said, more = lane.say(self.path, document)
                content = said if isinstance(said, bytes) else orjson.dumps(said)
                self.send_response(status)
                for key, value in more.items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that are gone
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def say(self, path: str, document: Any) -> tuple[int, Any, dict[str, str]]:
        if path == "/healthz":
            return 200, {}, {}
        if self.troubles:
            trouble: tuple[int, Any, dict[str, str]] = self.troubles.popleft()
            return trouble
        if path.endswith("/outcomes"):
            count = len(document["outcomes"])
            return 200, {"recorded": count, "repeated": 0, "corrected": 1, "late": 2}, {}
        if path.endswith("/decide-batch"):
            return 200, {"decisions": [self._decided(each) for each in document["decisions"]]}, {}
        return 200, self._decided(document), {}

    def _decided(self, document: Any) -> dict[str, Any]:
        if "tail" not in document["entity"]:
            error = {"code": "missing_field", "message": "There is no tail.", "remedy": "give it."}
            return {"error": error}
        return {
            "id": document["id"], "endpoint": "flight_delay", "model": self.name,
            "answer": {"probability": 0.25}, "at": NOON.isoformat(), "repeated": False,
            "missing": [],
        }  # fmt: skip

    def decisions(self) -> list[Any]:
        return [document for path, _, document in self.asked if path != "/healthz"]

    def close_connections(self) -> None:
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self.close_connections()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def lanes() -> Iterator[Callable[..., SmallLane]]:
    made: list[SmallLane] = []

    def make(name: str, port: int = 0) -> SmallLane:
        made.append(SmallLane(name, port))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    with using_settings(database_url=f"sqlite:///{tmp_path}/headrace.db"):
        endpoints = Endpoints(Database(settings().database_url))
        spec = EndpointSpec(
            model="flight_delay", task="classification", clock="live", space="flight_delay"
        )
        endpoints.declare("flight_delay", spec=spec, champion="flight_delay/3", reason="a test")
        yield endpoints


def observe(endpoints: Endpoints, *urls: str, front: str | None = None) -> None:
    replicas = tuple(Replica(url=url, pid=1, generation=1) for url in urls)
    url = front or (urls[0] if urls else None)
    lane = Lane(state="serving", generation=1, url=url, front=front, replicas=replicas, at=NOON)
    endpoints.observe("flight_delay", lane)


class Waiting:
    """This is the client for asyncio, asked as the other one."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(*given, **named)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def wait(*given: Any, **named: Any) -> Any:
            return self._loop.run_until_complete(getattr(self._client, name)(*given, **named))

        return wait

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture(params=[Client, Waiting], ids=["threads", "asyncio"])
def client_of(request: pytest.FixtureRequest) -> Any:
    return request.param


# --- whom it asks ---


def test_without_a_front_requests_go_to_all_replicas(
    client_of: Any, endpoints: Endpoints, lanes: Any
) -> None:
    a, b = lanes("a"), lanes("b")
    observe(endpoints, a.url, b.url)

    with client_of("flight_delay") as client:
        by = Counter(client.decide(**ASKED).model for _ in range(20))

    assert by == {"a": 10, "b": 10}


def test_the_least_busy_replica_is_asked_first(endpoints: Endpoints, lanes: Any) -> None:
    slow, quick = lanes("slow"), lanes("quick")
    observe(endpoints, slow.url, quick.url)
    answer = slow.say
    slow.say = lambda *given: time.sleep(0.3) or answer(*given)

    with Client("flight_delay") as client, ThreadPoolExecutor(2) as pool:
        by = Counter(pool.map(lambda _: client.decide(**ASKED).model, range(30)))

    assert by["slow"] <= 6


def test_the_front_is_asked_and_while_it_is_dead_the_replicas_are(
    client_of: Any, endpoints: Endpoints, lanes: Any
) -> None:
    front, lane = lanes("front"), lanes("lane")
    observe(endpoints, lane.url, front=front.url)

    with client_of("flight_delay") as client:
        before = [client.decide(**ASKED).model for _ in range(3)]
        front.stop()
        began = time.monotonic()
        meanwhile = [client.decide(**ASKED).model for _ in range(3)]
        took = time.monotonic() - began
        back = lanes("front again", front.port)
        until = time.monotonic() + 10
        while not back.asked and time.monotonic() < until:
            client.decide(**ASKED)
            time.sleep(0.02)
        after = client.decide(**ASKED).model

    assert before == ["front"] * 3
    assert meanwhile == ["lane"] * 3
    assert took < 5
    assert after == "front again"


def test_a_haproxy_that_is_killed_under_load_costs_no_decision(
    client_of: Any, endpoints: Endpoints, lanes: Any, front: Any
) -> None:
    lane = lanes("lane")
    front.apply({"flight_delay": [lane.url]})
    observe(endpoints, lane.url, front=front.url)

    with client_of("flight_delay") as client:
        decided = []
        for number in range(120):
            if number in (30, 80) and front.alive():
                os.kill(front._process.pid, signal.SIGKILL)
            decided.append(client.decide(**ASKED, id=str(number)).id)

    assert decided == [str(number) for number in range(120)]


def test_a_replica_that_does_not_answer_is_spared_for_a_while(
    client_of: Any, endpoints: Endpoints, lanes: Any
) -> None:
    alive, dead = lanes("alive"), lanes("dead")
    observe(endpoints, alive.url, dead.url)

    with client_of("flight_delay") as client:
        client.decide(**ASKED), client.decide(**ASKED)
        dead.stop()
        began = time.monotonic()
        by = {client.decide(**ASKED).model for _ in range(20)}
        took = time.monotonic() - began

    assert by == {"alive"}
    assert took < 5


def test_a_replica_that_is_starting_is_left_for_another_at_once(
    client_of: Any, endpoints: Endpoints, lanes: Any
) -> None:
    starting, ready = lanes("starting"), lanes("ready")
    starting.troubles.extend([(*STARTING[:2], {"retry-after": "5"})] * 4)
    observe(endpoints, starting.url, ready.url)

    with client_of("flight_delay") as client:
        began = time.monotonic()
        by = [client.decide(**ASKED).model for _ in range(4)]

    assert by == ["ready"] * 4
    assert time.monotonic() - began < 2


def test_replicas_on_loopback_of_another_machine_are_not_asked(
    endpoints: Endpoints, lanes: Any
) -> None:
    lane = lanes("somebody else's")
    observe(endpoints, lane.url, front="http://192.0.2.77:9")

    with (
        Client("flight_delay", patience_seconds=0.1, key="k") as client,
        pytest.raises(ServiceError, match=r"at http://192\.0\.2\.77:9"),
    ):
        client.decide(**ASKED)

    assert lane.asked == []


def test_an_address_behind_somebody_elses_proxy_may_have_a_path(client_of: Any, lanes: Any) -> None:
    lane = lanes("lane")

    with client_of("flight_delay", url=f"{lane.url}/models/") as client:
        client.decide(**ASKED)

    assert lane.asked[0][0] == "/models/v1/flight_delay/decide"


# --- when it asks again ---


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_to_come_again_later_is_asked_again_later(
    client_of: Any, lanes: Any, status: int
) -> None:
    lane = lanes("lane")
    lane.troubles.append((status, FULL, {"retry-after": "0.3"}))

    with client_of("flight_delay", url=lane.url) as client:
        began = time.monotonic()
        client.decide(**ASKED)

    assert time.monotonic() - began >= 0.3
    first, second = lane.decisions()
    assert first["id"] == second["id"]


def test_who_asks_for_more_patience_than_there_is_is_not_waited_for(
    client_of: Any, lanes: Any
) -> None:
    lane = lanes("lane")
    lane.troubles.append((429, FULL, {"retry-after": "60"}))

    with client_of("flight_delay", url=lane.url) as client:
        began = time.monotonic()
        with pytest.raises(DecisionRefused) as raised:
            client.decide(**ASKED)

    assert (raised.value.status, raised.value.code) == (429, "busy")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "trouble",
    [
        (502, b"<html>bad gateway</html>", {}),
        (502, {"error": {"code": "broken_off", "message": "It was.", "remedy": "again."}}, {}),
        (504, b"", {}),
    ],
    ids=["another proxy's", "the front's", "empty"],
)
def test_what_a_proxy_says_of_a_lane_that_died_is_asked_again(
    client_of: Any, lanes: Any, trouble: Any
) -> None:
    lane = lanes("lane")
    lane.troubles.append(trouble)

    with client_of("flight_delay", url=lane.url) as client:
        decision = client.decide(**ASKED)

    assert [each["id"] for each in lane.decisions()] == [decision.id] * 2


def test_a_connection_that_says_nothing_is_given_up(client_of: Any, lanes: Any) -> None:
    lane = lanes("lane")
    answer = lane.say
    lane.say = lambda *given: time.sleep(1) or answer(*given)

    with (
        client_of("flight_delay", url=lane.url, timeout_seconds=0.2, patience_seconds=0) as client,
        pytest.raises(HeadraceError, match=r"timed out|no whole answer within 0\.2 seconds"),
    ):
        client.decide(**ASKED)


# --- who asks ---


def test_the_key_goes_with_every_request_and_is_shown_nowhere(
    client_of: Any, lanes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    lane = lanes("lane")
    caplog.set_level(0)

    with client_of("flight_delay", url=lane.url, key="hr_open_sesame") as client:
        client.decide(**ASKED)
        client.outcome("1", 1.0)
        told = getattr(client, "_client", client)._told
    with (
        client_of("flight_delay", url="http://127.0.0.1:9", key="hr_open_sesame",
                  patience_seconds=0) as refused,
        pytest.raises(ServiceError) as raised,
    ):  # fmt: skip
        refused.decide(**ASKED)

    assert {each[1]["authorization"] for each in lane.asked} == {"Bearer hr_open_sesame"}
    for shown in (repr(told), str(raised.value), caplog.text):
        assert "sesame" not in shown


def test_the_key_of_the_settings_is_used_where_none_is_given(lanes: Any) -> None:
    lane = lanes("lane")

    with using_settings(client_key="hr_from_settings"):
        with Client("flight_delay", url=lane.url) as client:
            client.decide(**ASKED)
        shown = repr(settings())
        child = settings().as_environment()

    assert lane.asked[0][1]["authorization"] == "Bearer hr_from_settings"
    assert "hr_from_settings" not in shown
    assert "HEADRACE_CLIENT_KEY" not in child


@pytest.mark.parametrize("key", ["", "two\r\nlines", "schlüssel", SecretStr("a\x00")])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ParameterError) as raised:
        Client("flight_delay", url="http://lane", key=key)

    text = key if isinstance(key, str) else key.get_secret_value()
    assert str(raised.value) == (
        f"A key is of letters, digits and signs; this one has {len(text)} characters, and one of "
        "them is none of these.\n"
        "  Fix: give the key as it was shown when it was made, without the end of a line."
    )


# --- what it asks ---


def test_many_decisions_come_back_in_their_order_with_what_was_wrong_in_its_place(
    client_of: Any, lanes: Any
) -> None:
    lane = lanes("lane")
    many: list[dict[str, Any]] = [{"entity": {"tail": str(n)}, "id": str(n)} for n in range(700)]
    many[3]["entity"] = {}

    with client_of("flight_delay", url=lane.url) as client:
        decided = client.decide_many(many, outputs=["class"], explain=True)

    assert [each.id for each in decided if not isinstance(each, DecisionRefused)] == [
        str(n) for n in range(700) if n != 3
    ]
    assert (decided[3].code, decided[3].status) == ("missing_field", 422)
    assert [len(each["decisions"]) for each in lane.decisions()] == [500, 200]
    assert {(tuple(each["outputs"]), each["explain"]) for each in lane.decisions()} == {
        (("class",), True)
    }


def test_an_outcome_says_which_it_is_and_whether_it_corrects(client_of: Any, lanes: Any) -> None:
    lane = lanes("lane")
    told = [Outcome(id="1", value=2.0, name="minutes", corrects=True, source="radar")]

    with client_of("flight_delay", url=lane.url) as client:
        recorded = client.outcomes(told)
        client.outcome("2", None)

    assert recorded == Recorded(recorded=1, repeated=0, corrected=1, late=2)
    assert lane.decisions() == [
        {
            "outcomes": [
                {"id": "1", "value": 2.0, "name": "minutes", "corrects": True, "source": "radar"}
            ]
        },
        {"outcomes": [{"id": "2", "value": None}]},
    ]


def test_requests_one_after_the_other_go_over_one_connection(client_of: Any, lanes: Any) -> None:
    lane = lanes("lane")

    with client_of("flight_delay", url=lane.url) as client:
        for _ in range(5):
            client.decide(**ASKED)

    assert len(lane.connections) == 1


def test_a_connection_that_the_lane_closed_meanwhile_is_made_anew_at_once(
    client_of: Any, lanes: Any
) -> None:
    lane = lanes("lane")

    with client_of("flight_delay", url=lane.url, patience_seconds=0) as client:
        client.decide(**ASKED)
        lane.close_connections()
        decision = client.decide(**ASKED)

    assert decision.model == "lane"
    assert len(lane.connections) == 2


def test_tasks_of_one_loop_share_a_client(lanes: Any) -> None:
    lane = lanes("lane")

    async def ask() -> list[str]:
        async with AsyncClient("flight_delay", url=lane.url) as client:
            asked = (client.decide(**ASKED, id=str(n)) for n in range(100))
            return [decision.id for decision in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [str(n) for n in range(100)]


def test_a_task_that_is_cancelled_leaves_nothing_to_be_mistaken_for_the_next_answer(
    lanes: Any,
) -> None:
    lane = lanes("lane")
    answer = lane.say
    lane.say = lambda path, document: (
        time.sleep(0.2 if document["id"] == "slow" else 0) or answer(path, document)
    )

    async def ask() -> str:
        async with AsyncClient("flight_delay", url=lane.url) as client:
            await client.decide(**ASKED, id="first")
            slow = asyncio.create_task(client.decide(**ASKED, id="slow"))
            await asyncio.sleep(0.05)
            slow.cancel()
            return (await client.decide(**ASKED, id="next")).id

    assert asyncio.run(ask()) == "next"
