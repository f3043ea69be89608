"""The front, with a real HAProxy and small real servers behind it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.errors import ParameterError, ServiceError
from serving.front import Front

DECIDE = "/v1/flight_delay/decide"


class Load:
    """These are clients that ask all the time, over kept connections, and never twice."""

    def __init__(self, ask: Callable[..., Any], url: str, clients: int = 4) -> None:
        self.by: Counter[str] = Counter()
        self.failed: list[str] = []
        self.longest = 0.0
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(ask(url), n)) for n in range(clients)
        ]
        for each in self._threads:
            each.start()

    def _ask(self, ask: Any, client: int) -> None:
        number = 0
        while not self._ends.is_set():
            number += 1
            began = time.monotonic()
            try:
                answer = ask(DECIDE, {"id": f"{client}/{number}", "seconds": 0.002})
            except (OSError, HTTPException) as error:
                self.failed.append(repr(error))
                ask.close()
                continue
            self.longest = max(self.longest, time.monotonic() - began)
            if answer.status == 200:
                self.by[answer.document["by"]] += 1
            else:
                self.failed.append(f"{answer.status} {answer.document}")

    def until(self, reached: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until it has gone far enough, on a machine as busy as it may be."""
        end = time.monotonic() + seconds
        while not reached() and time.monotonic() < end:
            time.sleep(0.02)

    def stop(self) -> None:
        self._ends.set()
        for each in self._threads:
            each.join(20)


def wait_for(file: Path) -> None:
    """Wait until a replica has begun with the request that names a file."""
    end = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.005)


# --- who answers ---


def test_requests_are_dealt_to_all_replicas_of_their_endpoint(
    front: Front, replicas: Any, asking: Any
) -> None:
    front.apply({"flight_delay": [each.url for each in replicas], "other": [replicas[0].url]})

    ask = asking(front.url)
    by = Counter(ask(DECIDE, {"id": str(n)}).document["by"] for n in range(20))
    others = {ask("/v1/other/decide", {"id": str(n)}).document["by"] for n in range(5)}

    assert set(by) == {"a", "b"}
    assert min(by.values()) >= 5
    assert others == {"a"}


def test_before_lanes_are_known_the_front_says_that_they_are_starting(
    front: Front, asking: Any
) -> None:
    answer = asking(front.url)(DECIDE, {"id": "1"})

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.document == {
        "error": {
            "code": "starting",
            "message": "No replica of this endpoint answers now.",
            "remedy": "try again in a second; `headrace endpoint show` says why.",
        }
    }


def test_an_endpoint_without_replicas_is_starting_and_one_that_is_not_named_is_unknown(
    front: Front, asking: Any
) -> None:
    front.apply({"flight_delay": []})
    ask = asking(front.url)

    starting, unknown = ask(DECIDE, {"id": "1"}), ask("/v1/flight_dealy/decide", {"id": "1"})

    assert (starting.status, starting.document["error"]["code"]) == (503, "starting")
    assert starting.headers["retry-after"] == "1"
    assert unknown.status == 404
    assert unknown.document["error"] == {
        "code": "unknown_endpoint",
        "field": "endpoint",
        "expected": "an endpoint that answers here",
        "got": "'flight_dealy'",
        "message": "There is no endpoint 'flight_dealy' at this address.",
        "remedy": "run `headrace endpoint list` to see those there are, and where.",
    }


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/", "/"), ("/v2/x", "/v2/x"), ('/"}%22%0a', '/"}%22%0a'), ("/%s%[src]", "/%s%[src]")],
)
def test_a_path_of_no_endpoint_is_refused_in_json(
    front: Front, asking: Any, path: str, shown: str
) -> None:
    answer = asking(front.url)(path)

    assert answer.status == 404
    assert answer.document["error"]["message"] == f"There is nothing at '{shown}'."
    assert answer.document["error"]["remedy"] == (
        "ask at /v1/ENDPOINT; `headrace endpoint list` names the endpoints."
    )


def test_the_front_is_well_whatever_its_lanes_are(front: Front, asking: Any) -> None:
    assert asking(front.url)("/healthz").document == {"status": "ok"}


def test_a_lane_is_told_who_asks_by_the_connection_and_not_by_the_request(
    front: Front, replicas: Any, asking: Any
) -> None:
    front.apply({"flight_delay": [replicas[0].url]})

    answer = asking(front.url)(
        DECIDE,
        {"id": "1"},
        X_Forwarded_For="203.0.113.9",
        Forwarded="for=x",
        Authorization="Bearer k",
    )

    headers = answer.document["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "forwarded" not in headers
    assert headers["authorization"] == "Bearer k"


def test_a_body_that_no_lane_takes_is_refused_before_it_is_sent(
    front: Front, replicas: Any, asking: Any
) -> None:
    front.apply({"flight_delay": [replicas[0].url]})

    answer = asking(front.url)(DECIDE, iter(()), "POST", Content_Length=str((64 << 20) + 1))

    assert answer.status == 413
    assert answer.document["error"]["message"] == "The body has more than 67,108,864 bytes."


def test_a_large_body_comes_whole(front: Front, replicas: Any, asking: Any) -> None:
    front.apply({"flight_delay": [replicas[0].url]})

    answer = asking(front.url)(DECIDE, b"x" * 3_000_000)

    assert answer.document["bytes"] == 3_000_000


def test_what_is_no_http_is_refused_by_haproxy_in_its_own_words(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"what is this\r\n\r\n")
        said = raw.recv(4096)

    assert said.startswith(b"HTTP/1.1 400 Bad request\r\n")
    assert b"Connection: close\r\n" in said


# --- what comes and goes ---


def test_replicas_that_come_and_go_cost_no_request(
    front: Front, replicas: Any, asking: Any
) -> None:
    a, b = (each.url for each in replicas)
    front.apply({"flight_delay": [a]})

    load = Load(asking, front.url)
    for _ in range(12):
        for urls in ([a, b], [b], [a, b], [a]):
            front.apply({"flight_delay": urls})
            before = load.by.total()
            load.until(lambda seen=before: load.by.total() > seen + 4)  # type: ignore[misc]
    load.stop()

    assert load.failed == []
    assert min(load.by["a"], load.by["b"]) > 20


def test_a_replica_that_goes_is_asked_nothing_new_and_ends_what_it_began(
    front: Front, replicas: Any, asking: Any, tmp_path: Path
) -> None:
    a, b = (each.url for each in replicas)
    front.apply({"flight_delay": [a]})
    slow, began = list[Any](), tmp_path / "began"
    body = {"id": "slow", "seconds": 0.5, "began": str(began)}
    under_way = threading.Thread(target=lambda: slow.append(asking(front.url)(DECIDE, body)))
    under_way.start()
    wait_for(began)

    front.apply({"flight_delay": [b]})
    by = {asking(front.url)(DECIDE, {"id": str(n)}).document["by"] for n in range(10)}
    under_way.join()

    assert by == {"b"}
    assert (slow[0].status, slow[0].document["by"]) == (200, "a")


def test_a_replica_that_has_gone_is_forgotten_when_its_last_request_has_ended(
    front: Front, replicas: Any
) -> None:
    front.apply({"flight_delay": [replicas[0].url]})
    front.apply({"flight_delay": []})

    until = time.monotonic() + 5
    while "127.0.0.1" in front._process.tell("show servers state") and time.monotonic() < until:
        time.sleep(0.05)

    assert "127.0.0.1" not in front._process.tell("show servers state")


def test_endpoints_that_come_and_go_are_answered_for_as_long_as_they_are_there(
    front: Front, replicas: Any, asking: Any
) -> None:
    url = replicas[0].url
    ask = asking(front.url)
    statuses = []
    for names in (["x"], ["x", "y"], ["y"], ["y", "x"]):
        front.apply({name: [url] for name in names})
        statuses.append([ask(f"/v1/{name}/decide", {"id": "1"}).status for name in "xy"])

    assert statuses == [[200, 404], [200, 200], [404, 200], [200, 200]]


def test_saying_the_same_again_tells_haproxy_nothing(front: Front, replicas: Any) -> None:
    backends = {"flight_delay": [each.url for each in replicas]}
    front.apply(backends)

    assert front._outstanding() == ([], [])


# --- what dies ---


def test_a_killed_replica_costs_no_decision_that_has_an_id(
    front: Front, replicas: Any, asking: Any, start_replica: Any
) -> None:
    dying = start_replica("dying")
    front.apply({"flight_delay": [replicas[0].url, dying.url]})

    load = Load(asking, front.url)
    load.until(lambda: load.by["dying"] > 10)
    dying.kill()
    load.until(lambda seen=load.by["a"]: load.by["a"] > seen + 20)  # type: ignore[misc]
    load.stop()

    assert load.failed == []
    assert load.by["dying"] > 10


def test_a_replica_that_comes_back_at_its_port_is_asked_again(
    front: Front, replicas: Any, asking: Any, start_replica: Any
) -> None:
    dying = start_replica("before")
    front.apply({"flight_delay": [replicas[0].url, dying.url]})
    dying.kill()
    ask = asking(front.url)
    without = [ask(DECIDE, {"id": str(n)}).status for n in range(5)]

    start_replica("after", dying.port)
    until, by = time.monotonic() + 5, set()
    while "after" not in by and time.monotonic() < until:
        by.add(ask(DECIDE, {"id": "again"}).document["by"])

    assert without == [200] * 5
    assert "after" in by


@pytest.mark.parametrize(
    ("path", "body", "again"),
    [
        pytest.param(DECIDE, {"id": "1"}, True, id="a decision with an id"),
        pytest.param(DECIDE, {"entity": {"id": "1"}}, False, id="a decision without one"),
        pytest.param("/v1/flight_delay/outcomes", {}, True, id="outcomes by id"),
        pytest.param("/v1/flight_delay/outcomes", {"entity": {}}, False, id="outcomes by entity"),
        pytest.param("/v1/flight_delay/decide-batch?id=1", {}, True, id="a batch with an id"),
        pytest.param("/v1/flight_delay/decide-batch", {"decisions": []}, False, id="a batch"),
    ],
)
def test_what_broke_off_is_asked_again_only_where_that_changes_nothing(
    front: Front, asking: Any, path: str, body: Any, again: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dying:
        begun: list[bytes] = []
        told = threading.Thread(target=_read_and_close, args=(dying, begun))
        told.start()
        front.apply({"flight_delay": [f"http://127.0.0.1:{dying.getsockname()[1]}"]})

        answer = asking(front.url)(path, body)
        front.apply({"flight_delay": []})
        dying.shutdown(socket.SHUT_RDWR)
        told.join()

    assert len([each for each in begun if path.encode() in each]) == (4 if again else 1)
    assert (answer.status, answer.document["error"]["code"]) == (502, "broken_off")


def _read_and_close(dying: socket.socket, begun: list[bytes]) -> None:
    """Do as a replica that is killed while it decides, and is well whenever it is looked at."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = dying.accept()
            with connection:
                begun.append(connection.recv(4096))
                if b"/healthz" in begun[-1]:
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def test_a_killed_haproxy_is_started_again_and_a_new_client_waits_instead_of_being_refused(
    front: Front, replicas: Any, asking: Any
) -> None:
    front.apply({"flight_delay": [replicas[0].url]})
    url, before = front.url, front._process.pid
    os.kill(before, signal.SIGKILL)

    began = time.monotonic()
    answer = asking(url)(DECIDE, {"id": "1"})
    took = time.monotonic() - began
    while not front.alive() and time.monotonic() - began < 5:
        time.sleep(0.01)

    assert (answer.status, front.url) == (200, url)
    assert took < 10  # after which a client gives up
    assert front._process.pid != before


def test_a_front_that_cannot_be_started_again_refuses_at_once_and_comes_back(
    front: Front, replicas: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    front.apply({"flight_delay": [replicas[0].url]})
    port = int(front.url.rpartition(":")[2])

    with monkeypatch.context() as broken:
        broken.setattr("serving._front_process.haproxy_binary", lambda: Path("/bin/false"))
        os.kill(front._process.pid, signal.SIGKILL)
        until, refused = time.monotonic() + 10, False
        while not refused and time.monotonic() < until:
            time.sleep(0.05)
            with socket.socket() as tried:
                tried.settimeout(1)
                refused = tried.connect_ex(("127.0.0.1", port)) != 0
        assert refused
        assert not front.alive()
    until = time.monotonic() + 10
    while not front.alive() and time.monotonic() < until:
        time.sleep(0.05)

    assert asking(front.url)(DECIDE, {"id": "1"}).status == 200


def test_haproxy_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from headrace.settings import load_settings\n"
            "from serving.front import Front\n"
            "front = Front(load_settings(home=sys.argv[1], serving_front='haproxy',"
            " serving_front_port=0))\n"
            "front.start()\n"
            "print(front._process.pid, flush=True)\n"
            "time.sleep(60)\n",
            tmp_path,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    haproxy = psutil.Process(int(holder.stdout.readline()))
    holder.kill()
    holder.communicate()

    gone, alive = psutil.wait_procs([haproxy], timeout=5)

    assert (len(gone), alive) == (1, [])


def test_a_stopped_front_lets_what_is_under_way_end(
    start_front: Any, replicas: Any, asking: Any, tmp_path: Path
) -> None:
    front = start_front()
    front.apply({"flight_delay": [replicas[0].url]})
    slow, began = list[Any](), tmp_path / "began"
    body = {"id": "slow", "seconds": 0.4, "began": str(began)}
    under_way = threading.Thread(target=lambda: slow.append(asking(front.url)(DECIDE, body)))
    under_way.start()
    wait_for(began)

    front.stop()
    under_way.join()

    assert slow[0].status == 200
    assert not front.alive()
    with pytest.raises(ConnectionRefusedError):
        asking(front.url)(DECIDE, {"id": "1"})


# --- who can reach it ---


def test_nothing_listens_beyond_loopback_and_no_socket_or_file_is_open_to_others(
    start_front: Any, tmp_path: Path
) -> None:
    metrics = socket.create_server(("127.0.0.1", 0))
    port = metrics.getsockname()[1]
    metrics.close()
    front = start_front(serving_front_metrics_port=port)
    front.apply({"flight_delay": ["http://127.0.0.1:9"]})

    process = psutil.Process(front._process.pid)
    found = process.net_connections(kind="all")

    listening = [each for each in found if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.port for each in listening} == {int(front.url.rpartition(":")[2]), port}
    assert all(ip_address(each.laddr.ip).is_loopback for each in listening)
    named = [e.laddr for e in found if e.family == socket.AF_UNIX and e.laddr]
    assert named == []  # commands come through sockets without a name
    folder = tmp_path / "serving" / "front"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    writable = [p.name for p in folder.iterdir() if p.lstat().st_mode & stat.S_IWOTH]
    assert writable == []
    assert [p.name for p in folder.iterdir() if stat.S_ISSOCK(p.lstat().st_mode)] == []


def test_it_listens_where_it_is_told_to(start_front: Any, asking: Any) -> None:
    front = start_front(serving_front_host="::1")

    assert front.url.startswith("http://[::1]:")
    assert asking(front.url)("/healthz").status == 200


def test_clients_are_told_the_address_that_leads_to_it(start_front: Any) -> None:
    everywhere = start_front(serving_front_host="0.0.0.0")  # noqa: S104
    elsewhere = start_front(serving_front_url="https://models.example.com/")

    assert everywhere.url.startswith("http://127.0.0.1:")
    assert elsewhere.url == "https://models.example.com"


def test_prometheus_is_told_of_requests_and_replicas_where_it_may_ask(
    start_front: Any, replicas: Any, asking: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    front = start_front(serving_front_metrics_port=port)
    front.apply({"flight_delay": [replicas[0].url]})
    asking(front.url)(DECIDE, {"id": "1"})

    said = asking(f"http://127.0.0.1:{port}")("/metrics").document

    server = f'server="flight_delay:127.0.0.1:{replicas[0].port}"'
    (total,) = [
        line
        for line in said.splitlines()
        if line.startswith("haproxy_server_http_responses_total")
        and server in line
        and 'code="2xx"' in line
    ]
    assert total.endswith(" 1")
    assert len(said) < 100_000  # and not of all backends that wait for an endpoint
    assert asking(f"http://127.0.0.1:{port}")("/").status == 404


# --- what is wrong ---


def test_a_port_that_is_taken_is_said(start_front: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServiceError) as raised,
    ):
        start_front(serving_front_port=taken.getsockname()[1])

    assert str(raised.value) == (
        f"The front cannot listen at 127.0.0.1, port {taken_port(raised.value)}: "
        "Address already in use.\n"
        "  Fix: end what listens there (`ss -ltnp`), or change the setting 'serving_front_port'."
    )


def taken_port(error: ServiceError) -> str:
    return str(error).split("port ")[1].split(":")[0]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://lane:1", "http://127.0.0.1", "http://127.0.0.1:1/x"]
)
def test_the_address_of_a_replica_is_of_plain_http_at_a_number(front: Front, url: str) -> None:
    with pytest.raises(ParameterError) as raised:
        front.apply({"flight_delay": [url]})

    assert str(raised.value) == (
        f"The address of a replica is http://NUMBER:PORT, got '{url}'.\n"
        "  Fix: give the address that the replica's notice says."
    )
