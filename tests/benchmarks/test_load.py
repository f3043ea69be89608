"""The load that the serving benchmarks put on a server, and how they read what it saw."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks._answers import answer_end, status_of
from benchmarks._load import Requests, closed_loop
from benchmarks.switch import Change, _seconds


class _Server(ThreadingHTTPServer):
    """A real server that remembers ids and refuses or hangs up as it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ids: list[str] = []
        self.refuse_every = 0
        self.close_every = 0
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        self.server.ids.append(document.get("id"))
        every = self.server.refuse_every
        if self.server.close_every and self.server.asked % self.server.close_every == 0:
            self.close_connection = True
            return
        body = b'{"model":"late/2"}'
        self.send_response(503 if every and self.server.asked % every == 0 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _head(server: _Server) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\nContent-Length: ".encode()


def test_every_request_that_was_begun_is_answered_and_counted(server: _Server):
    requests = Requests(_head(server), [b'{"a":1}', b'{"a":22}'], "")

    seen = closed_loop(("127.0.0.1", server.server_port), requests, 4, 0.2)

    assert seen["errors"] == 0
    assert seen["requests"] == server.asked > 4


def test_ids_are_never_sent_twice(server: _Server):
    requests = Requests(_head(server), [b'{"a":1}', b'{"a":22}'], "mark")

    seen = closed_loop(("127.0.0.1", server.server_port), requests, 4, 0.2)

    assert seen["errors"] == 0
    assert len(set(server.ids)) == len(server.ids) == server.asked
    assert all(each.startswith("mark-") for each in server.ids)


def test_an_answer_other_than_200_is_an_error(server: _Server):
    server.refuse_every = 3
    requests = Requests(_head(server), [b'{"a":1}'], "")

    seen = closed_loop(("127.0.0.1", server.server_port), requests, 2, 0.2)

    assert seen["errors"] == server.asked // 3
    assert "503" in seen["error"]


def test_an_answer_is_whole_when_its_length_has_come():
    whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"

    assert status_of(whole) == 404
    assert answer_end(whole) == len(whole)
    assert answer_end(whole[:-1]) == len(whole)
    assert answer_end(whole[:30]) > 30


def test_paced_clients_say_who_answered_and_survive_a_closed_connection(
    server: _Server, tmp_path: Path
):
    server.close_every = 10
    bodies = tmp_path / "bodies"
    bodies.write_text('{"a":1}\n')
    url = f"http://127.0.0.1:{server.server_port}"
    command = [sys.executable, "-m", "benchmarks._paced", url, "/", str(bodies), "2", "100"]

    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as clients:
        while server.asked < 25:
            time.sleep(0.01)
        said, _ = clients.communicate(timeout=30)

    seen = json.loads(said)
    assert seen["failed"] == server.asked // 10
    assert len(seen["answers"]) == server.asked - seen["failed"]
    assert {model for _, _, model in seen["answers"]} == {"late/2"}


def test_a_change_is_over_with_the_first_new_answer_after_the_last_old_one():
    changes = [
        Change(action="promote", called=10.0, returned=10.1, after="late/2"),
        Change(action="rollback", called=20.0, returned=20.1, after="late/1"),
    ]
    answers = [
        (9.9, 10.2, "late/1"),
        (10.0, 10.3, "late/2"),
        (10.1, 10.4, "late/1"),
        (10.3, 10.5, "late/2"),
        (20.0, 20.1, "late/2"),
        (20.1, 20.3, "late/1"),
    ]

    assert _seconds(changes, 0, answers) == pytest.approx(0.5)
    assert _seconds(changes, 1, answers) == pytest.approx(0.3)


def test_a_change_that_nobody_saw_is_an_error():
    changes = [Change(action="promote", called=10.0, returned=10.1, after="late/2")]

    with pytest.raises(RuntimeError, match="No answer of late/2"):
        _seconds(changes, 0, [(10.0, 10.5, "late/1")])


def test_nothing_listens_where_no_server_is():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    requests = Requests(b"POST / HTTP/1.1\r\nContent-Length: ", [b"{}"], "")

    with pytest.raises(ConnectionRefusedError):
        closed_loop(("127.0.0.1", port), requests, 1, 0.1)
