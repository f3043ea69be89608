"""That a comparison has new evidence is told to Prefect by a process, under one id."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks._servers import free_ports
from flows._matured_told import main
from headrace.settings import settings, using_settings
from serving.rollout.matured import seen_file
from serving.rollout.maturing import Matured

DAY = 86_400_000_000
SEEN = Matured(
    experiments=("e1",), through=19_000 * DAY, closed=19_001 * DAY, outcomes=60_000, since=1
)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What a server that stands where Prefect's does was told."""
    told: list[dict[str, Any]] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with using_settings(prefect_port=server.server_port):
        yield told
    server.shutdown()
    thread.join()
    server.server_close()


def keep(seen: Matured) -> None:
    file = seen_file(settings(), "minutes")
    file.parent.mkdir(parents=True)
    file.write_bytes(orjson.dumps({"position": {}, "seen": seen.to_json()}))


def test_what_is_told_twice_is_one_event_that_names_the_endpoint(
    tmp_path: Path, heard: list[dict[str, Any]]
) -> None:
    with using_settings(home=tmp_path):
        keep(SEEN)

        codes = [main(["minutes"]), main(["minutes"])]

    first, again = heard
    assert codes == [0, 0]
    assert first["id"] == again["id"]
    assert (first["event"], first["resource"]) == (
        "headrace.outcomes.matured",
        {"prefect.resource.id": "headrace.model.minutes"},
    )
    assert first["payload"] == {
        "endpoint": "minutes",
        "endpoints": ["minutes"],
        "through": "2022-01-09T00:00:00+00:00",
        "outcomes": 60_000,
        "experiments": ["e1"],
    }


def test_where_nothing_is_left_to_say_nobody_is_told(
    tmp_path: Path, heard: list[dict[str, Any]]
) -> None:
    with using_settings(home=tmp_path):
        code = main(["minutes"])

    assert (code, heard) == (0, [])


def test_while_prefect_is_away_something_is_left_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    with using_settings(home=tmp_path, prefect_port=port):
        keep(SEEN)

        code = main(["minutes"])

    assert code == 1
    assert "was not told of 'headrace.outcomes.matured'" in capsys.readouterr().err
