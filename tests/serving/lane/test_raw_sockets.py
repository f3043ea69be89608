"""What comes over a raw socket: slow, garbled, pipelined, endless. Nothing of it harms a lane."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from serving.lane import protocol
from serving.lane.table import LaneTable
from tests.serving.lane.conftest import ASKED, LaneProcess, RunningLane

PATH = "/v1/flight_delay/decide"
BODY = orjson.dumps(ASKED)


def request(body: bytes = BODY, *headers: str, path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: a", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Wire:
    """This is a connection to a lane, on which anything can be sent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Read one answer."""
        file = self.socket.makefile("rb")
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return status, json.loads(file.read(int(headers[b"content-length"])))

    def is_closed(self) -> bool:
        """Return whether the lane has closed it, waiting a moment for that."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def wire(endpoint: RunningLane) -> Iterator[Callable[[], Wire]]:
    opened: list[Wire] = []

    def connect() -> Wire:
        opened.append(Wire(endpoint.url))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def refused(endpoint: RunningLane) -> dict[str, int]:
    app = endpoint.replica._app
    assert app is not None
    return dict(app.meters.refusals)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_with_a_reason_and_the_connection_ends(
    garbage: bytes, wire: Callable[[], Wire], endpoint: RunningLane
) -> None:
    before = refused(endpoint).get("not_http", 0)
    connection = wire()

    connection.send(garbage)
    status, document = connection.answer()

    assert (status, document["error"]) == (
        400,
        {
            "code": "not_http",
            "message": "What came is no HTTP/1.1 request.",
            "remedy": "send one, with a method, a path in ASCII and one content-length.",
        },
    )
    assert connection.is_closed()
    assert refused(endpoint)["not_http"] == before + 1


def test_pipelined_requests_are_answered_in_their_order(wire: Callable[[], Wire]) -> None:
    connection = wire()
    bodies = [orjson.dumps({**ASKED, "id": f"pipelined-{n}"}) for n in range(5)]

    connection.send(b"".join(map(request, bodies)))
    file = connection.socket.makefile("rb")
    answered = []
    for _ in bodies:
        size = 0
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        answered.append(json.loads(file.read(size))["id"])

    assert answered == [f"pipelined-{n}" for n in range(5)]


def test_a_request_in_small_pieces_is_answered(wire: Callable[[], Wire]) -> None:
    connection = wire()

    for piece in (request()[at : at + 40] for at in range(0, len(request()), 40)):
        connection.send(piece)
        time.sleep(0.002)

    assert connection.answer()[0] == 200


@pytest.mark.parametrize("cut", [10, 60, -5])
def test_a_request_that_does_not_come_to_its_end_is_given_up(
    cut: int, wire: Callable[[], Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    connection = wire()

    connection.send(request()[:cut])
    status, document = connection.answer()

    assert (status, document["error"]["code"]) == (408, "too_slow")
    assert document["error"]["message"] == "The request was not there after 0.3 s."
    assert connection.is_closed()


def test_a_client_that_leaves_in_the_middle_of_its_body_decides_nothing(
    start_lane: Any, table: Any
) -> None:
    body = orjson.dumps({**ASKED, "id": "left"})
    lane = start_lane(table())  # no other client leaves it
    connection = Wire(lane.url)

    connection.send(request(body + b" " * 50)[: -len(b" " * 50)])
    connection.close()
    until(lambda: refused(lane).get("gone", 0) > 0)

    log = lane.replica._decisions
    assert log is not None
    assert log.decision("left") is None
    assert refused(lane)["gone"] == 1


def test_endless_headers_are_refused_before_they_are_kept(wire: Callable[[], Wire]) -> None:
    connection = wire()

    connection.send(f"POST {PATH} HTTP/1.1\r\n".encode())
    try:
        for n in range(2_000):
            connection.send(f"x-{n}: {'a' * 100}\r\n".encode())
    except ConnectionError:
        return  # it was closed before all was sent
    status, document = connection.answer()

    assert (status, document["error"]["code"]) == (431, "head_too_large")


def test_over_the_most_connections_a_new_one_is_told_so(
    wire: Callable[[], Wire], monkeypatch: pytest.MonkeyPatch, start_lane: Any, table: Any
) -> None:
    lane = start_lane(table())
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 3)
    held = [Wire(lane.url) for _ in range(3)]

    one_more = Wire(lane.url)
    status, document = one_more.answer()
    for connection in (*held, one_more):
        connection.close()

    assert (status, document["error"]["code"]) == (503, "too_many_connections")
    until(lambda: lane.decide().status == 200)  # there is room again


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"entity": NaN}', 400, "not_json"),
        (b"[" * 100_000, 413, "too_large"),
        (b"[" * 60_000, 400, "not_json"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "not_json"),
        (b"\xff\xfe{}", 400, "not_json"),
        (b'{"entity": {"origin": "\\ud800"}}', 400, "not_json"),
        (b'{"entity": 1e400}', 400, "not_json"),
        (b"null", 422, "wrong_type"),
        (b"", 400, "not_json"),
    ],
)
def test_a_body_that_is_no_request_is_refused_and_the_connection_goes_on(
    body: bytes, status: int, code: str, wire: Callable[[], Wire]
) -> None:
    connection = wire()

    connection.send(request(body))
    answered, document = connection.answer()
    connection.send(request())

    assert (answered, document["error"]["code"]) == (status, code)
    assert document["error"]["remedy"]
    assert connection.answer()[0] == 200


def test_of_a_key_that_comes_twice_the_last_one_counts(wire: Callable[[], Wire]) -> None:
    connection = wire()
    doubled = b'{"id": "first", "id": "second", ' + BODY[1:]

    connection.send(request(doubled))

    assert connection.answer()[1]["id"] == "second"


def test_fifty_megabytes_and_noise_make_a_lane_no_larger(
    start_process: Callable[[LaneTable], LaneProcess], table: Callable[..., LaneTable]
) -> None:
    lane = start_process(table())
    process = psutil.Process(lane._process.pid)
    dice = random.Random(6)  # noqa: S311

    def noise() -> None:
        for _ in range(40):
            connection = Wire(lane.url)
            sent = bytearray(request())
            for _ in range(dice.randint(1, 8)):
                sent[dice.randrange(len(sent))] = dice.randrange(256)
            connection.send(bytes(sent))
            connection.close()

    def large() -> int:
        connection = Wire(lane.url)
        try:
            connection.send(request(b" " * (50 << 20)))
            status = connection.answer()[0]
        except ConnectionError:
            status = 413  # it was closed while it still sent
        connection.close()
        return status

    large()
    noise()
    before = process.memory_info().rss
    statuses = [large() for _ in range(3)]
    for _ in range(5):
        noise()
    grown = process.memory_info().rss - before

    assert statuses == [413, 413, 413]
    assert grown < 20 << 20
    assert lane.decide().status == 200


def test_a_body_in_chunks_and_one_that_is_announced_are_answered(wire: Callable[[], Wire]) -> None:
    chunked, announced = wire(), wire()
    head = f"POST {PATH} HTTP/1.1\r\nhost: a\r\n".encode()

    chunked.send(head + b"transfer-encoding: chunked\r\n\r\n")
    for part in (BODY[:10], BODY[10:]):
        chunked.send(b"%x\r\n%b\r\n" % (len(part), part))
    chunked.send(b"0\r\n\r\n")
    announced.send(head + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
    asked_for = announced.socket.recv(100)
    announced.send(BODY)

    assert chunked.answer()[0] == 200
    assert asked_for == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert announced.answer()[0] == 200


@pytest.mark.parametrize("head", ["HTTP/1.0", "HTTP/1.1\r\nconnection: close"])
def test_a_client_that_wants_its_connection_to_end_gets_its_answer_first(
    head: str, wire: Callable[[], Wire]
) -> None:
    connection = wire()

    connection.send(f"POST {PATH} {head}\r\ncontent-length: {len(BODY)}\r\n\r\n".encode() + BODY)

    assert connection.answer()[0] == 200
    assert connection.is_closed()


def test_a_head_is_refused_without_a_body(wire: Callable[[], Wire]) -> None:
    connection = wire()

    connection.send(f"HEAD {PATH} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    lines = connection.socket.recv(2_000).split(b"\r\n")
    connection.send(request())

    assert lines[0] == b"HTTP/1.1 405 Method Not Allowed"
    assert lines[-2:] == [b"", b""]
    assert connection.answer()[0] == 200


def test_a_connection_on_which_nothing_comes_ends(start_lane: Any, table: Any) -> None:
    lane = start_lane(table())
    lane.replica._server._server.config.timeout_keep_alive = 0.3
    silent, used = Wire(lane.url), Wire(lane.url)

    used.send(request())

    assert used.answer()[0] == 200
    assert used.is_closed()
    assert silent.is_closed()
