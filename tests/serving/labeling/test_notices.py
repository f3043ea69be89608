"""What happened to batches reaches Prefect, also after it was away; late batches are closed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.labels.items import NewItem
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from serving.labeling.notices import Chores

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


class Listening(HTTPServer):
    """A server that takes events, or refuses them while `status` says so."""

    status = 204

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.status == 204 and self.path == "/api/events":
            self.server.events += json.loads(body)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prefect() -> Iterator[Listening]:
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _chores(labeling, prefect) -> Chores:
    return Chores(labeling.queue, prefect_api_url=f"http://127.0.0.1:{prefect.server_port}/api")


def _ask_for(labeling, **more):
    task = LabelTask(
        name="news", labels=LabelSchema(choices=("a", "b")), entity="d", show=("t",),
        gold_share=0.0, overlap=1,
    )  # fmt: skip
    return labeling.ask_for(task, [NewItem(entity="e", as_of=AS_OF, shown={"t": 1})], **more)


def test_a_batch_that_is_complete_is_told_once(labeling, rater, prefect):
    batch = _ask_for(labeling)
    rater("ada").vote("a", request="request-1")
    [notice] = labeling.queue.notices()
    clock = VirtualClock(AS_OF)

    with using_clock(clock):
        chores = _chores(labeling, prefect)
        chores.turn()
        clock.advance_to(AS_OF + timedelta(minutes=5))
        chores.turn()

    [event] = prefect.events
    assert event["id"] == notice.id
    assert event["event"] == "headrace.labels.completed"
    assert event["resource"] == {"prefect.resource.id": "headrace.label_task.news"}
    assert event["payload"]["batch"] == batch.id
    assert labeling.queue.notices() == []


def test_while_prefect_is_away_it_is_asked_less_and_less_and_logged_once(
    labeling, rater, prefect, caplog
):
    _ask_for(labeling)
    rater("ada").vote("a", request="request-1")
    prefect.status = 503
    clock = VirtualClock(AS_OF)
    tried = []

    with using_clock(clock), caplog.at_level(logging.WARNING, "headrace.labels"):
        chores = _chores(labeling, prefect)
        for second in range(130):
            clock.advance_to(AS_OF + timedelta(seconds=second))
            if chores._telling.is_due():
                tried.append(second)
            chores.turn()
        prefect.status = 204
        clock.advance_to(AS_OF + timedelta(seconds=260))
        chores.turn()

    assert tried == [0, 1, 3, 7, 15, 31, 63, 123]
    assert [record.getMessage() for record in caplog.records] == [
        "Telling Prefect of batches failed, and is tried again: Prefect answers 503 to "
        f"http://127.0.0.1:{prefect.server_port}/api/events",
        "Telling Prefect of batches works again, after 8 failures.",
    ]
    assert len(prefect.events) == 1


def test_nobody_listening_is_no_end_of_it(labeling, rater):
    _ask_for(labeling)
    rater("ada").vote("a", request="request-1")
    chores = Chores(labeling.queue, prefect_api_url="http://127.0.0.1:9/api")

    chores.turn()

    assert len(labeling.queue.notices()) == 1


def test_a_batch_past_its_deadline_is_closed_and_told(labeling, prefect):
    from headrace.clock import current_clock

    batch = _ask_for(labeling, deadline=current_clock().now() + timedelta(minutes=1))
    clock = VirtualClock(current_clock().now() + timedelta(minutes=2))

    with using_clock(clock):
        _chores(labeling, prefect).turn()

    assert labeling.queue.batch(batch.id).status == "closed"
    assert [event["event"] for event in prefect.events] == ["headrace.labels.closed"]


def test_the_thread_begins_and_ends(labeling, prefect):
    chores = _chores(labeling, prefect)

    chores.start()
    chores.stop()

    assert not [t for t in threading.enumerate() if t.name == "label-chores"]
